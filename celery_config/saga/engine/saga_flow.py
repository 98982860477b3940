"""Sagas as a watched flow: the machine decides, the messages are chains, and the facts are the saga log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from celery_config.common import metrics
from celery_config.common.grouping import group_by
from celery_config.contracts.base import Command, contract_fields, decode
from celery_config.db.functions import Now
from celery_config.errors import OperatorRefused
from celery_config.messaging.holds.targets import AskedStep
from celery_config.messaging.outbox import writing
from celery_config.messaging.states import Action
from celery_config.saga.branches import Branch, branch_drive, branch_stop
from celery_config.saga.causes import CauseKind
from celery_config.saga.course import Answer, Course, Known, read_data
from celery_config.saga.dsl import Saga, StepKind, find_saga
from celery_config.saga.engine import flows, parking, refusals, step_log
from celery_config.saga.engine.chains import ChainBuilder, find_queue, plan_chain
from celery_config.saga.engine.flows import Cause, Holds, Times, Transition, Verb, WatchedFlow, make_view
from celery_config.saga.engine.machine import (
    CancelRequested,
    Completed,
    Decision,
    Drive,
    Resume,
    Retry,
    Send,
    Trigger,
    WatchdogFired,
    decide,
)
from celery_config.saga.engine.plan import Operation, PlannedLink, plan_links
from celery_config.saga.engine.step_log import LoggedStep
from celery_config.saga.faults import find_fault, list_steps
from celery_config.saga.flow_facts import FlowFacts
from celery_config.saga.models import SagaDecision, SagaInstance, SagaStep
from celery_config.saga.states import ENDED, OPEN, Status, StepState

log = structlog.get_logger(__name__)
DEADLINE_PASSED = {
    "step": "",
    "code": "deadline_passed",
    "reason": "the saga did not end before its deadline",
}
ANSWERED = (StepState.DONE, StepState.REFUSED)
# The event that the pivot is done, of a saga that is on its way anyway: it comes for every order.
EXPECTED: Decision[Send] = Decision(Status.FORWARD)


@metrics.prepare_at_start
def prepare_metrics() -> None:
    sagas = {name for name, _ in Saga.registry}
    metrics.prepare_labels(metrics.SAGA_SECONDS, sagas, ENDED)
    others = {model.name for model in flows.flows if model is not SagaInstance}
    metrics.prepare_labels(metrics.SAGAS_ENDED, sagas | others, ENDED)


@dataclass
class SagaFacts:
    """What the saga log says of some sagas; the ends of chains need none of it."""

    sagas: Sequence[SagaInstance] = ()
    logs: dict[UUID, dict[str, StepState]] = field(default_factory=dict)
    brought: Mapping[UUID, dict[str, Any]] = field(default_factory=dict)
    """What the ends of chains brought: the replies of all steps, by saga."""

    @cached_property
    def replies(self) -> dict[UUID, dict[str, Any]]:
        """What the steps that are done replied, by saga and step; read when the first chain needs it."""
        return step_log.read_replies(self.sagas)


class SagaFlow(WatchedFlow[SagaInstance, SagaFacts]):
    model = SagaInstance
    columns = (*WatchedFlow.columns, "ended_at")
    news = (SagaStep, "saga", "updated_at")
    times = Times(began="started_at", ended="ended_at", step="name")
    data = "data"
    to_outbox = staticmethod(writing.task_statements)
    verbs = {
        "retry": Verb(
            "Send again what is missing. Of one that waits for a decision, it is found out first whether it can still"
            " be undone: if so, everything is undone; if not, it is finished",
            dict.fromkeys(OPEN, WatchdogFired()) | {Status.PARKED: Retry()},
        ),
        "compensate": Verb(
            "Cancel it: it is found out first whether it can still be undone; if so, everything is undone",
            {Status.RUNNING: CancelRequested(), Status.STOPPING: WatchdogFired(), Status.PARKED: Retry()},
        ),
        "resume": Verb(
            "It is past its point of no return: go on with what is left",
            {Status.PARKED: Resume(), Status.FORWARD: WatchdogFired()},
            "only a saga that is known to be past its point of no return can be finished; this one is “{status}”",
        ),
    }

    def read_facts(self, rows: Sequence[SagaInstance], proved: Sequence[LoggedStep] = ()) -> SagaFacts:
        logs = step_log.read_log(rows)
        for entry in proved:
            logs.setdefault(entry.saga, {})[entry.step] = entry.outcome
        return SagaFacts(rows, logs)

    def decide(
        self, row: SagaInstance, trigger: Trigger, now: datetime, facts: SagaFacts
    ) -> Decision[Send] | None:
        saga = find_saga(row.name, row.version)
        if saga is None:
            log.error("unknown saga version", **row.log_ids, name=row.name, version=row.version)
            return None
        return decide(saga, make_view(row, now, facts.logs.get(row.pk, {})), trigger)

    def make_message(
        self, row: SagaInstance, send: Send, cause: Cause | None, facts: SagaFacts
    ) -> tuple[UUID, dict[str, Any]]:
        _, fault = read_data(definition(row).data, row.data)
        if fault:
            raise OperatorRefused(fault)
        row.attempt += 1
        replies = facts.replies.get(row.pk, {}) if isinstance(send, Drive) else {}
        log = facts.logs.get(row.pk, {})
        chains = ChainBuilder(
            definition(row), row.pk, row.data, row.attempt, log, settings.MESSAGE_KEYS, row.origin
        )
        return row.pk, chains.build(send, replies)

    def explain_status(self, row: SagaInstance, cause: Cause | None, facts: SagaFacts) -> None:
        if row.status in ENDED:
            row.ended_at = Now()
        elif row.status == Status.STOPPING and not row.cause.get("code"):
            row.cause = {**row.cause, **(cause or DEADLINE_PASSED)}
        elif row.status == Status.PARKED:
            log = self.read_logs([row]).get(row.pk, {})
            parking.park(
                row,
                cause["reason"] if cause else parking.DRIVEN_OUT,
                self.find_fault(row, log),
                [known.reply for known in log.values() if known.logged is StepState.DONE and known.reply],
            )

    def find_fault(self, row: SagaInstance, log: Mapping[str, Known]) -> str:
        """Return what parked it, in words that are the same for every saga with the same fault."""
        if find_saga(row.name, row.version) is None:
            return CauseKind.UNKNOWN_VERSION
        steps = list_steps(self.build_course(row, log))
        return find_fault(
            FlowFacts(
                noun="",
                status=Status.PARKED,
                steps=steps,
                now=row.since,
                cause=row.cause,
                line=row.fingerprint,
            )
        )

    def open_too_long(self, now: datetime) -> Q:
        late = Q(pk__in=[])
        for (name, version), saga in Saga.registry.items():
            began = now - timedelta(seconds=settings.TIMES.deadline(saga.deadline))
            late |= Q(name=name, version=version, started_at__lt=began)
        return late & Q(status__in=OPEN)

    def explain_causes(self, rows: Sequence[SagaInstance]) -> None:
        refusals.explain_causes([row for row in rows if row.status != Status.COMPLETED])

    def finish(self, transitions: Sequence[Transition[SagaInstance]], facts: SagaFacts) -> None:
        """Write the decisions down, and tell the sagas' owners in the transaction that ends them (rule 11, the end)."""
        unexpected = [
            record_decision(each)
            for each in transitions
            if each.decision != EXPECTED and not isinstance(each.trigger, Completed)
        ]
        SagaDecision.objects.bulk_create(unexpected)
        ended = [each.row for each in transitions if each.is_end]
        for (saga, status), group in group_by(lambda row: (definition(row), row.status), ended).items():
            if status == Status.COMPLETED:
                replies = facts.brought
                saga.on_completed([(decode(saga.data, row.data), replies.get(row.pk, {})) for row in group])
            else:
                saga.on_compensated([(decode(saga.data, row.data), row.cause) for row in group])
        for row in ended:
            seconds = (timezone.now() - row.started_at).total_seconds()
            metrics.SAGA_SECONDS.labels(row.name, row.status).observe(seconds)
            log.info("saga ended", subject=row.subject, outcome=row.status, **row.log_ids, **row.cause)

    def read_logs(self, rows: Sequence[SagaInstance]) -> Mapping[UUID, Mapping[str, Known]]:
        return step_log.read_known(rows)

    def build_course(self, row: SagaInstance, log: Mapping[str, Known]) -> Course:
        saga = definition(row)
        data, fault = read_data(saga.data, row.data)
        return Course(saga.steps, data, log, fault)

    def find_times(self, row: SagaInstance) -> tuple[datetime | None, datetime | None]:
        return row.started_at, row.ended_at

    def find_noun(self, row: SagaInstance) -> str:
        saga = find_saga(row.name, row.version)
        return saga.noun if saga else "flow"

    def find_proof(self, row: SagaInstance, answers: Mapping[str, Answer]) -> LoggedStep | None:
        """Return the pivot's reply, if its participant's barrier says that it ran."""
        pivot = next((s for s in definition(row).steps if s.kind is StepKind.PIVOT), None)
        held = (answers.get(pivot.command.service) or {}).get(pivot.name) if pivot else None
        if pivot and held and held.action is Action.DONE:
            return LoggedStep(row.pk, pivot.name, StepState.DONE, dict(held.reply or {}))
        return None

    def find_queues(self, row: SagaInstance, facts: SagaFacts) -> Sequence[str]:
        saga = find_saga(row.name, row.version)
        return (find_queue(saga, plan_next_link(saga, row, facts)), *flows.NEWS_QUEUES) if saga else ()

    def find_service(self, row: SagaInstance, facts: SagaFacts) -> str:
        saga = find_saga(row.name, row.version)
        step = plan_next_link(saga, row, facts).step if saga else ""
        return saga.steps[saga.index(step)].command.service if saga and step else ""

    def find_asked(self, row: SagaInstance, facts: SagaFacts) -> AskedStep | None:
        saga = find_saga(row.name, row.version)
        link = plan_next_link(saga, row, facts) if saga else None
        if saga is None or link is None or not link.step:
            return None
        step = saga.steps[saga.index(link.step)]
        command = step.undo if link.operation is Operation.UNDO and step.undo else step.command
        return AskedStep(saga=row.pk, command=command.wire_name(), operation=link.operation.value)

    @property
    def money(self) -> Holds:
        """Of the first step of each definition that names an amount: the steps behind it are about the same money.

        A row that waits has the same word here as in its strip (`operations.strip`).
        """
        steps = SagaStep.objects.filter(saga=OuterRef("pk"))
        first = steps.filter(command__in=list_money_commands())
        done = first.filter(kind=StepKind.COMPENSATABLE, logged=StepState.DONE)
        pivot = steps.filter(kind=StepKind.PIVOT, logged=StepState.DONE)
        others = SagaStep.objects.filter(saga=OuterRef("saga"))
        earlier = others.filter(position__lt=OuterRef("position"))
        later = others.filter(position__gt=OuterRef("position"))
        has_begun = ~Exists(earlier.exclude(logged=StepState.DONE).exclude(reply__isnull=False))
        # The step behind it was asked for, so it is done.
        is_passed = Exists(
            later.filter(Q(logged__in=ANSWERED) | Q(reply__isnull=False) | Q(failure__operation="do"))
        )
        unknown = first.filter(logged=StepState.NOTHING)
        goes_back = Q(cause__has_key="code") & ~Q(Exists(pivot))
        passed = Q(Exists(unknown.filter(is_passed, failure__isnull=True)))
        return Holds(
            taken=Q(Exists(done)) & Q(Exists(pivot)),
            held=Q(Exists(done)) | (goes_back & passed),
            doubtful=Q(Exists(unknown.filter(has_begun | is_passed | Q(failure__isnull=False)))),
        )

    def deadline_seconds(self, row: SagaInstance) -> float:
        return definition(row).deadline

    def list_branches(self, row: SagaInstance, send: Send, course: Course) -> list[Branch]:
        steps, noun = list_steps(course), self.find_noun(row)
        if isinstance(send, Drive):
            return branch_drive(steps, noun, undoable=row.status == Status.RUNNING)
        is_fenced = all(link.operation is not Operation.FENCE for link in plan_links(definition(row), send))
        return branch_stop(steps, noun, fenced=is_fenced)

    def describe_send(self, row: SagaInstance, send: Send) -> list[str]:
        links = plan_links(definition(row), send)
        return [f"{link.operation} {link.step}".strip() for link in links]


SAGAS = SagaFlow()
flows.register(SAGAS)


def plan_next_link(saga: type[Saga], row: SagaInstance, facts: SagaFacts) -> PlannedLink:
    """Return what an open saga waits for: what it would be sent first if it had just become silent."""
    log = facts.logs.get(row.pk, {})
    send = decide(saga, make_view(row, row.since, log), WatchdogFired()).send
    assert send is not None
    done = {step for step, outcome in log.items() if outcome is StepState.DONE}
    return plan_chain(saga, send, done)[0]


def list_money_commands() -> list[str]:
    """The commands of the first steps that name an amount, of every definition."""
    commands = set()
    for saga in Saga.registry.values():
        named = (step.command for step in saga.steps if find_amount_field(step.command))
        commands |= {command.wire_name() for command in list(named)[:1]}
    return sorted(commands)


def find_amount_field(command: type[Command]) -> str:
    """The first field of a command that is an amount; empty: it has none."""
    return next((field.name for field in contract_fields(command) if field.name.endswith("amount")), "")


def definition(row: SagaInstance) -> type[Saga]:
    """Return the definition that the saga runs on.

    Raises:
        OperatorRefused: this code does not know it.
    """
    saga = find_saga(row.name, row.version)
    if saga is None:
        raise OperatorRefused(
            f"{row.name} version {row.version} is unknown to this code; deploy one that knows it"
        )
    return saga


def record_decision(made: Transition[SagaInstance]) -> SagaDecision:
    """Return the row that keeps a decision off the happy path."""
    said = {"came": str(made.trigger), "sent": str(made.decision.send or "")}
    log.info("saga decided", before=made.before, after=made.after, **made.row.log_ids, **said)
    return SagaDecision(
        saga=made.row,
        status_before=made.before,
        status_after=made.after,
        detail=made.reason if made.after != made.before else "",
        **said,
    )
