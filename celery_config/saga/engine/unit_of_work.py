"""Unit of work: one transaction's decisions about rows of one flow, written with one statement for each table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Generic
from uuid import UUID

from django.conf import settings

from celery_config.common import metrics
from celery_config.db import bulk
from celery_config.saga.causes import CauseKind
from celery_config.saga.dsl import Saga
from celery_config.saga.engine import clock, holding, parking, scheduling
from celery_config.saga.engine.flows import (
    Cause,
    Facts,
    Row,
    Transition,
    WatchedFlow,
    schedule_check,
    soon_after,
)
from celery_config.saga.engine.machine import IGNORE, Decision, DriveFailed, WatchdogFired
from celery_config.saga.engine.step_log import LoggedStep
from celery_config.saga.states import OPEN, Status

UNKNOWN = "this code does not know its name and version; deploy one that does, or compare the participants' barriers"


@dataclass
class UnitOfWork(Generic[Row, Facts]):
    """Collects decisions about locked rows; `write` carries them out.

    Args:
        now: the present saga time.
        facts: what the flow's decisions need.
    """

    flow: WatchedFlow[Row, Facts]
    now: datetime
    facts: Facts
    changed: dict[UUID, Row] = field(default_factory=dict)
    messages: list[Any] = field(default_factory=list)
    transitions: list[Transition[Row]] = field(default_factory=list)
    frees: bool = False
    """Whether a row was held that is free now."""

    @classmethod
    def begin(
        cls, flow: WatchedFlow[Row, Facts], found: Sequence[Row], proved: Sequence[LoggedStep] = ()
    ) -> UnitOfWork[Row, Facts]:
        """Begin a unit of work on these locked rows: read the clock and the facts."""
        return cls(flow, clock.now(), flow.read_facts(found, proved))

    def apply_trigger(self, row: Row, trigger: Any, cause: Cause | None = None) -> Decision[Any]:
        """Decide about `trigger`, change the locked row accordingly, and return the decision.

        Args:
            cause: of the stop, if the trigger stops the row.
        """
        decision = self.flow.decide(row, trigger, self.now, self.facts)
        if decision is None:
            # This worker is older or newer than the row; one that knows the version finds it due (rule 24, versions).
            if isinstance(trigger, WatchdogFired) and self.is_abandoned(row):
                self.park(row, f"{row}: {UNKNOWN}", CauseKind.UNKNOWN_VERSION)
            else:
                self.advance_check(row)
            return IGNORE
        if decision == IGNORE:
            return decision
        before = Status(row.status)
        if decision.send:
            self.messages.append(self.flow.make_message(row, decision.send, cause, self.facts))
        if decision.status and decision.status != before:
            self.set_status(row, decision.status, cause)
        elif decision.send:
            schedule_check(row, self.now)
        if decision.soon:
            row.due_at = min(row.due_at or self.now, soon_after(row, self.now))
        self.changed[row.pk] = row
        reason = row.cause.get("reason", "")
        self.transitions.append(Transition(row, before, Status(row.status), trigger, decision, reason))
        return decision

    def set_status(self, row: Row, status: Status, cause: Cause | None) -> None:
        self.free(row)
        row.status, row.since, row.drives, row.due_at = status.value, self.now, 0, None
        if status in OPEN:
            schedule_check(row, self.now)
        parking.unpark(row)
        self.flow.explain_status(row, cause, self.facts)

    def park(self, row: Row, why: str, fault: str) -> None:
        """Park a row for a reason that is not one of its flow; `fault` is the same for all with the same fault."""
        self.free(row)
        before, row.status = Status(row.status), Status.PARKED.value
        row.since, row.due_at = self.now, None
        self.flow.explain_status(row, None, self.facts)
        row.cause |= {"parked": why}
        row.fingerprint = parking.make_fingerprint(fault)
        self.changed[row.pk] = row
        self.transitions.append(
            Transition(row, before, Status.PARKED, DriveFailed(), Decision(Status.PARKED), why)
        )

    def free(self, row: Row) -> None:
        """End a row's hold: it decides about something else now, which may be held, too."""
        if row.held_since is not None:
            holding.free_row(row, self.now)
            self.frees = True

    def is_abandoned(self, row: Row) -> bool:
        """Whether no worker that knows the row's version has moved it for longer than any flow may run."""
        longest = settings.TIMES.deadline(max(saga.deadline for saga in Saga.registry.values()))
        return self.now >= max(row.deadline_at, row.since + timedelta(seconds=longest))

    def advance_check(self, row: Row) -> None:
        """Make the watchdog check an open row soon, but not at once.

        If it stayed overdue, a row of a version that no worker here knows would come first in every check.
        """
        if row.status in OPEN:
            row.due_at = scheduling.earlier_check(row.due_at, now=self.now, soon=soon_after(row, self.now))
            self.changed[row.pk] = row

    def write(self) -> None:
        """Write rows and messages, and what the flow adds in the same transaction."""
        ended = [each.row for each in self.transitions if each.is_end]
        stopped = [each.row for each in self.transitions if each.after is Status.STOPPING]
        self.flow.explain_causes([*ended, *stopped])
        columns = (*self.flow.columns, *holding.HELD) if self.frees else self.flow.columns
        bulk.execute(
            *bulk.update_statement(self.flow.model, list(self.changed.values()), columns),
            *self.flow.to_outbox(self.messages),
        )
        self.flow.finish(self.transitions, self.facts)
        for row in ended:
            metrics.SAGAS_ENDED.labels(row.name, row.status).inc()
