"""Watched flows: what the engine asks of each kind of row that it drives, parks and shows to operators.

Sagas are one kind (`saga_flow.SAGAS`). A service that has another derives its rows from `WatchedRow` and registers a
`WatchedFlow` for them: watchdog, parking, dead letters, operators, admin pages and HTTP then work for it, too.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar, Generic, TypeVar
from uuid import UUID

from django.conf import settings
from django.db.models import Model, Q

from celery_config.broker.topology import events_queue, urgent_queue
from celery_config.common.services import ORCHESTRATOR
from celery_config.db.bulk import Statement
from celery_config.messaging.holds.targets import AskedStep
from celery_config.saga.branches import Branch
from celery_config.saga.course import Answer, Course, Known
from celery_config.saga.engine import scheduling
from celery_config.saga.engine.machine import Decision, View
from celery_config.saga.engine.step_log import LoggedStep
from celery_config.saga.flow_facts import Happening
from celery_config.saga.models import WatchedRow
from celery_config.saga.states import ENDED, Status

Row = TypeVar("Row", bound=WatchedRow)
Facts = TypeVar("Facts")
Cause = Mapping[str, str]
"""Why a flow is stopped: `step`, `code`, `reason`."""


@dataclass(frozen=True)
class Verb:
    """One thing that an operator may ask of a flow."""

    label: str
    triggers: Mapping[Status, Any]
    """What the row decides about, by its status; a status that is missing refuses."""
    refusal: str = (
        "“{verb}” does not fit a {kind} that is “{status}”: past its point of no return it is only finished"
    )
    """Why a row that has not ended refuses."""


@dataclass(frozen=True)
class Transition(Generic[Row]):
    """A decision that was carried out."""

    row: Row
    before: Status
    after: Status
    trigger: Any
    decision: Decision[Any]
    reason: str
    """Of the row's cause, at that moment."""

    @property
    def is_end(self) -> bool:
        return self.after in ENDED and self.after != self.before


@dataclass(frozen=True)
class Times:
    """Where a kind of flow keeps when its rows began and ended, and when each step was done.

    Args:
        began, ended: paths from its model; an index serves each.
        step: the field of the table of `news` that names the step.
        steps: the steps that its values stand for; empty: the values are the steps' own names.
        only: what the indexes leave out.
    """

    began: str
    ended: str
    step: str
    steps: Mapping[str, str] = field(default_factory=dict)
    only: Q = field(default_factory=Q)


@dataclass(frozen=True)
class Holds:
    """Whether a row has taken money, holds some, or may hold some, as far as our own database knows."""

    taken: Any
    held: Any
    doubtful: Any


class WatchedFlow(ABC, Generic[Row, Facts]):
    """One kind of flow. `Facts` is what its decisions need and its rows do not hold, read for many rows at once."""

    model: type[Row]
    columns: Sequence[str] = (
        "status", "cause", "attempt", "drives", "since", "due_at", "owner", "answer_by", "fingerprint",
    )  # fmt: skip
    """What a unit of work writes of a row."""
    news: tuple[type[Model], str, str]
    """The table that shows when something was heard of a row: the table, its key to the row, its time."""
    times: Times
    """What the sums by the minute are made from."""
    data: ClassVar[str]
    """The field with what the row was started with: perhaps an `amount` in minor units of its `currency`."""
    to_outbox: Callable[[Iterable[Any]], list[Statement]]
    """What writes messages to the outbox."""
    verbs: Mapping[str, Verb]
    event_flow: ClassVar[str] = ""
    """The `flow` that the events of this kind carry; empty: none."""

    def lock(self, ids: Iterable[UUID | None]) -> list[Row]:
        """Return the rows with these ids, locked in the one order; unknown ids are passed over."""
        found = self.model._default_manager.select_for_update().filter(pk__in={*ids})
        return list(found.order_by("pk"))

    @abstractmethod
    def read_facts(self, rows: Sequence[Row], proved: Sequence[LoggedStep] = ()) -> Facts:
        """Read what is known of the rows; `proved` counts as known, though it is not written down."""

    @abstractmethod
    def decide(self, row: Row, trigger: Any, now: datetime, facts: Facts) -> Decision[Any] | None:
        """Return the decision about `trigger`; None: this code does not know the row's version. Changes nothing."""

    @abstractmethod
    def make_message(self, row: Row, send: Any, cause: Cause | None, facts: Facts) -> Any:
        """Return the message that `to_outbox` takes for what a decision sends; count it on the locked row."""

    @abstractmethod
    def explain_status(self, row: Row, cause: Cause | None, facts: Facts) -> None:
        """Write on the row why it has its new status; `parking.park` it if that is parked."""

    @property
    def money(self) -> Holds | None:
        """Conditions on rows whose amount is money; None: no row holds any."""
        return None

    def open_too_long(self, now: datetime) -> Q:
        """The open rows that began longer ago than their deadline, by the clock on the wall."""
        return Q(pk__in=[])

    def explain_causes(self, rows: Sequence[Row]) -> None:
        """Complete the causes of rows that were stopped or have ended, before they are written."""

    @abstractmethod
    def finish(self, transitions: Sequence[Transition[Row]], facts: Facts) -> None:
        """Do what belongs into the transaction of the transitions; the rows are written."""

    @abstractmethod
    def read_logs(self, rows: Sequence[Row]) -> Mapping[UUID, Mapping[str, Known]]:
        """Return what is known of each step, by row and step, with one query for any number of rows."""

    @abstractmethod
    def build_course(self, row: Row, log: Mapping[str, Known]) -> Course:
        """Return the steps of the flow and what is known of each; reads nothing.

        Raises:
            OperatorRefused: this code does not know the row's version.
        """

    def find_course(self, row: Row) -> Course:
        """Read what is known of the row's steps, and return its course.

        Raises:
            OperatorRefused: this code does not know the row's version.
        """
        return self.build_course(row, self.read_logs([row]).get(row.pk, {}))

    def find_times(self, row: Row) -> tuple[datetime | None, datetime | None]:
        """Return when the flow began and when it ended, by the clock on the wall, as far as the row says it."""
        return None, None

    def read_happenings(self, row: Row) -> Sequence[Happening]:
        """Return what happened to the flow, as far as its own tables say it, with one query."""
        return ()

    def find_noun(self, row: Row) -> str:
        """Return what the flow is, for people: an order, a refund."""
        return "flow"

    def find_proof(self, row: Row, answers: Mapping[str, Answer]) -> LoggedStep | None:
        """Return what the participants' barriers prove that a resumption needs."""
        return None

    @abstractmethod
    def find_queues(self, row: Row, facts: Facts) -> Sequence[str]:
        """Return the queues in which what an open row waits for may be; none if that is not known."""

    @abstractmethod
    def find_service(self, row: Row, facts: Facts) -> str:
        """Return the service whose word an open row waits for; empty if that is not known."""

    @abstractmethod
    def find_asked(self, row: Row, facts: Facts) -> AskedStep | None:
        """Return the step that an open row waits for, as its participant is asked; None: it waits for its own end."""

    @abstractmethod
    def deadline_seconds(self, row: Row) -> float:
        """Return how long a row may run, at a scale of one."""

    @abstractmethod
    def list_branches(self, row: Row, send: Any, course: Course) -> list[Branch]:
        """Return what may become of the row by what a decision sends."""

    @abstractmethod
    def describe_send(self, row: Row, send: Any) -> list[str]:
        """Return the links of what a decision sends, in the order in which they run."""


# News of every flow, errbacks and ends of chains go through these.
NEWS_QUEUES = (urgent_queue(ORCHESTRATOR), events_queue(ORCHESTRATOR))


def event_queues(service: str) -> Sequence[str]:
    """The queues in which an event for a service, or its answer, may wait."""
    return (events_queue(service), *NEWS_QUEUES)


flows: dict[type[WatchedRow], WatchedFlow[Any, Any]] = {}


def register(flow: WatchedFlow[Any, Any]) -> None:
    """Let the engine watch the rows of this flow."""
    flows[flow.model] = flow


def find_flow(model: type[WatchedRow]) -> WatchedFlow[Any, Any]:
    """Return the flow of a model, or of its proxy."""
    concrete: Any = model._meta.concrete_model
    return flows[concrete]


def make_view(row: WatchedRow, now: datetime, log: Mapping[str, Any]) -> View:
    """Return the row as a decision needs it; `log` is what is known of its steps."""
    return View(
        status=Status(row.status),
        log=log,
        past_deadline=now >= row.deadline_at,
        past_patience=now >= row.since + timedelta(seconds=settings.TIMES.compensation_timeout),
    )


def schedule_check(row: WatchedRow, now: datetime) -> None:
    """Let the watchdog look when the row has been silent for long enough."""
    silent_until = now + timedelta(seconds=settings.TIMES.silence_after(row.drives))
    row.due_at = scheduling.next_check_at(
        row.status, now=now, silent_until=silent_until, deadline=row.deadline_at
    )


def soon_after(row: WatchedRow, now: datetime) -> datetime:
    """Return when the watchdog looks if something went wrong: before the silence is over."""
    return now + timedelta(seconds=settings.TIMES.soon_after(row.drives))
