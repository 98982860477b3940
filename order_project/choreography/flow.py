"""Choreographed orders as a watched flow: their messages are announcements, their facts the events that were seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db.models import Exists, OuterRef, Q

from celery_config.common.grouping import group_by
from celery_config.common.services import PARTICIPANTS
from celery_config.contracts.base import decode
from celery_config.contracts.order import OrderPlaced, OrderWithdrawn
from celery_config.messaging.holds.targets import AskedStep
from celery_config.messaging.outbox import writing
from celery_config.participant.choreography import FLOW
from celery_config.saga.branches import Branch, branch_drive, branch_stop
from celery_config.saga.causes import CauseKind, tells_silence
from celery_config.saga.course import Course, Known, read_data
from celery_config.saga.dsl import StepKind
from celery_config.saga.engine import flows, parking
from celery_config.saga.engine.flows import Cause, Holds, Times, Transition, Verb, WatchedFlow, make_view
from celery_config.saga.engine.machine import Decision, Retry
from celery_config.saga.engine.step_log import LoggedStep
from celery_config.saga.faults import find_fault, list_steps
from celery_config.saga.flow_facts import FlowFacts, Happening
from celery_config.saga.states import OPEN, Status, StepState
from order_project import services
from order_project.choreography.announcing import build_announcement
from order_project.choreography.derivation import (
    COLLECTED,
    DEADLINE_PASSED,
    EVENTS_OF_STEPS,
    RECEIVED,
    RELEASED,
    RETAINED,
    WITHDRAWN,
    Announcement,
    Seen,
    Trigger,
    WithdrawalAsked,
    decide,
    derive_status,
    find_cause,
    find_next_event,
    is_contradicted,
)
from order_project.choreography.events import SeenByOrder, plain_values, read_events, record_events
from order_project.choreography.step_log import derive_log, find_known, read_happenings, read_logs
from order_project.models import Choreography, SeenEvent
from order_project.sagas.place_order import PlaceOrder

log = structlog.get_logger(__name__)
CONTRADICTED = f"payment {CauseKind.CONTRADICTED}"
TOO_OLD = {"code": DEADLINE_PASSED, "reason": "the order did not end before its deadline"}


class ChoreographyFlow(WatchedFlow[Choreography, SeenByOrder]):
    model = Choreography
    event_flow = FLOW
    columns = (*WatchedFlow.columns, "failure")
    news = (SeenEvent, "choreography", "at")
    times = Times(
        began="order__created_at",
        ended="order__ended_at",
        step="kind",
        steps={EVENTS_OF_STEPS[step.command][0]: step.name for step in PlaceOrder.steps},
        only=Q(order__saga__isnull=True),
    )
    data = "placed"
    to_outbox = staticmethod(writing.event_statements)
    # There is none that sends an order forward: payment says whether it is too late to undo anything.
    verbs = {
        "retry": Verb(
            "Say again what was said last of the order: that it was placed, or, while it is being undone, that it is"
            " withdrawn. What a service did before it does not do again; payment decides first whether it is too late"
            " to undo anything",
            dict.fromkeys((*OPEN, Status.PARKED), Retry()),
            "what was seen of the order contradicts itself: compare the books of all who took part",
        ),
        "compensate": Verb(
            "Withdraw the order: payment decides whether it is too late; if not, every service undoes its part",
            dict.fromkeys((Status.RUNNING, Status.STOPPING, Status.PARKED), WithdrawalAsked()),
        ),
    }

    def read_facts(self, rows: Sequence[Choreography], proved: Sequence[LoggedStep] = ()) -> SeenByOrder:
        return read_events(rows)

    def decide(
        self, row: Choreography, trigger: Trigger, now: datetime, facts: SeenByOrder
    ) -> Decision[Announcement]:
        return decide(make_view(row, now, facts[row.pk]), trigger)

    def make_message(
        self, row: Choreography, send: Announcement, cause: Cause | None, facts: SeenByOrder
    ) -> dict[str, Any]:
        seen = facts[row.pk]
        if send is Announcement.WITHDRAWAL and derive_status(seen) is Status.RUNNING:
            return self.withdraw(row, cause or TOO_OLD, seen)
        row.attempt += 1
        if send is Announcement.ORDER:
            return build_announcement(
                decode(OrderPlaced, row.placed), row.origin, row.attempt, find_done(seen)
            )
        known = find_cause(seen)
        event = OrderWithdrawn(order=row.pk, code=known.get("code", ""), reason=known.get("reason", ""))
        return build_announcement(event, row.origin, row.attempt, find_done(seen))

    def withdraw(self, row: Choreography, cause: Cause, seen: dict[str, dict[str, Any]]) -> dict[str, Any]:
        """Withdraw an order for the first time: that counts as seen, and stops it."""
        event = OrderWithdrawn(order=row.pk, code=cause["code"], reason=cause["reason"])
        record_events([(row.pk, event)])
        seen[WITHDRAWN] = plain_values(event)
        return build_announcement(event, row.origin, known=find_done(seen))

    def explain_status(self, row: Choreography, cause: Cause | None, facts: SeenByOrder) -> None:
        seen = facts[row.pk]
        match row.status:
            case Status.STOPPING:
                row.cause = row.cause | find_cause(seen)
            case Status.COMPENSATED | Status.COMPLETED:  # it may have been cancelled too late
                row.cause = find_cause(seen)
            case Status.PARKED:
                park(row, seen)

    def open_too_long(self, now: datetime) -> Q:
        began = now - timedelta(seconds=settings.TIMES.deadline(PlaceOrder.deadline))
        return Q(status__in=OPEN, order__created_at__lt=began)

    def finish(self, transitions: Sequence[Transition[Choreography]], facts: SeenByOrder) -> None:
        """Confirm and cancel orders, in the transaction that ends them."""
        moved = [each for each in transitions if each.after != each.before]
        ended = group_by(lambda row: row.status, [each.row for each in moved if each.is_end])
        if completed := ended.get(Status.COMPLETED):
            services.confirm_orders([(decode(OrderPlaced, row.placed), facts[row.pk]) for row in completed])
        if compensated := ended.get(Status.COMPENSATED):
            services.cancel_orders([(decode(OrderPlaced, row.placed), row.cause) for row in compensated])
        for each in moved:
            log.info("choreographed order stands", status=each.after, **each.row.log_ids)

    def read_logs(self, rows: Sequence[Choreography]) -> Mapping[UUID, Mapping[str, Known]]:
        return read_logs(rows)

    def build_course(self, row: Choreography, log: Mapping[str, Known]) -> Course:
        """Return the steps of `place-order`, by the names that the services know them by."""
        steps = [replace(step, name=step.command.wire_name()) for step in PlaceOrder.steps]
        data, fault = read_data(OrderPlaced, row.placed)
        return Course(steps, data, log, fault)

    def find_times(self, row: Choreography) -> tuple[datetime | None, datetime | None]:
        if not Choreography._meta.get_field("order").is_cached(row):
            return None, None  # to read each order would be a query a row; select it along
        return row.order.created_at, row.order.ended_at

    def read_happenings(self, row: Choreography) -> Sequence[Happening]:
        return read_happenings(row)

    def find_noun(self, row: Choreography) -> str:
        return PlaceOrder.noun

    def find_queues(self, row: Choreography, facts: SeenByOrder) -> Sequence[str]:
        service = self.find_service(row, facts)
        return flows.event_queues(service) if service else ()

    def find_service(self, row: Choreography, facts: SeenByOrder) -> str:
        service, _, _ = find_next_event(facts[row.pk]).partition(".")
        return service if service in PARTICIPANTS else ""

    def find_asked(self, row: Choreography, facts: SeenByOrder) -> AskedStep | None:
        event = find_next_event(facts[row.pk])
        for step in PlaceOrder.steps:
            done, *undone = EVENTS_OF_STEPS[step.command]
            if event == done:
                return AskedStep(saga=row.pk, command=step.command.wire_name(), operation="do")
            if event in undone and step.undo:
                return AskedStep(saga=row.pk, command=step.undo.wire_name(), operation="undo")
        return None

    @property
    def money(self) -> Holds:
        seen = SeenEvent.objects.filter(choreography=OuterRef("pk"))
        taken, held, released = (
            Exists(seen.filter(kind__in=kinds)) for kinds in ((COLLECTED, RETAINED), (RECEIVED,), (RELEASED,))
        )
        return Holds(taken=taken, held=Q(held) & ~Q(released), doubtful=~Q(released) & ~Q(held))

    def deadline_seconds(self, row: Choreography) -> float:
        return PlaceOrder.deadline

    def list_branches(self, row: Choreography, send: Announcement, course: Course) -> list[Branch]:
        steps, noun = list_steps(course), self.find_noun(row)
        if send is Announcement.WITHDRAWAL:
            return branch_stop(steps, noun, fenced=False)
        taken = any(s.logged is StepState.DONE for s in steps if s.kind is StepKind.PIVOT)
        return branch_drive(steps, noun, undoable=not taken)

    def describe_send(self, row: Choreography, send: Announcement) -> list[str]:
        return [f"announce {send}"]


CHOREOGRAPHIES = ChoreographyFlow()
flows.register(CHOREOGRAPHIES)


def find_done(seen: Seen) -> list[str]:
    """Return the steps that were seen to be done and not undone, by the names that the services know them by."""
    return [
        command.wire_name()
        for command, kinds in EVENTS_OF_STEPS.items()
        if find_known(kinds, seen).logged is StepState.DONE
    ]


def find_parking_fault(row: Choreography, seen: Seen) -> str:
    """Return what stands in the way of a parked order."""
    if is_contradicted(seen):
        return str(CONTRADICTED)
    steps = list_steps(CHOREOGRAPHIES.build_course(row, derive_log(seen, {}, row.failure)))
    return find_fault(
        FlowFacts(
            noun="",
            status=Status.PARKED,
            steps=steps,
            now=row.since,
            cause=row.cause,
            choreographed=True,
            line=row.fingerprint,
        )
    )


def update_fault(row: Choreography, seen: Seen) -> bool:
    """Set what stands in the way of an order that was silent when it was parked; return whether it was."""
    is_told = row.status == Status.PARKED and tells_silence(row.fingerprint)
    if is_told:
        row.fingerprint = parking.make_fingerprint(find_parking_fault(row, seen))
    return is_told


def park(row: Choreography, seen: Seen) -> None:
    """Park an order; `seen` gives the reason."""
    fault = find_parking_fault(row, seen)
    why = fault if is_contradicted(seen) else parking.DRIVEN_OUT
    is_held = not seen.keys() & {COLLECTED, RELEASED}
    parking.park(row, why, fault, [seen.get(RECEIVED, {})] if is_held else [])
