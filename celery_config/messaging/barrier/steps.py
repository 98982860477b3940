"""Steps and their handlers, and all that one transaction writes about them: barrier rows and events, or neither."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, TypeVar
from uuid import UUID, uuid5

from django.conf import settings
from django.db import transaction

from celery_config.broker import topology
from celery_config.common.correlation import Origin, name_request
from celery_config.common.services import ORCHESTRATOR
from celery_config.contracts.base import Command, Event, Reply, command_id, decode, encode
from celery_config.db import bulk
from celery_config.errors import Refused, StepLost
from celery_config.messaging.barrier import store
from celery_config.messaging.barrier.context import StepContext, takes_context
from celery_config.messaging.barrier.decisions import Row
from celery_config.messaging.barrier.store import AnyRow, NewRow
from celery_config.messaging.outbox import writing
from celery_config.messaging.states import Action, Undo

STEP_LOST = f"{ORCHESTRATOR}.step_lost"
D = TypeVar("D")
S = TypeVar("S", bound="StepRequest")
FindHandler = Callable[[str], "Handler | None"]
"""Gives a handler by the wire name of its command."""
LocalStep = Callable[..., Sequence[Reply | Refused | None]]
"""Takes the commands, and if it wants to, a `StepContext` for each."""


class OutsideStep(Protocol):
    """Base of a step whose effect is at a provider: it stores requests, calls and settles (rule 8, effects outside)."""

    private: Sequence[str] = ()
    """Fields of a request that are a secret or a person's: a provider's text that repeats one is cut to its code."""

    def requests(self, commands: Sequence[Any], *args: Any, **kwargs: Any) -> list[dict[str, Any]]:
        """Return the full request of each, from the command and our own rows; committed before the call.

        A second parameter gets a `StepContext` for each.
        """

    def call(self, key: UUID, request: dict[str, Any]) -> dict[str, Any]:
        """Make one call with `key` as idempotency key and return the answer. Other calls run at the same time.

        Raises:
            Refused: the provider's final no.
            OutcomeUnknown: the call may or may not have taken effect; it is repeated with the same key.
        """

    def look_up(self, key: UUID, request: dict[str, Any]) -> dict[str, Any] | None:
        """Return the answer of an earlier call as the provider's records show it; None if they show none.

        Asked before a call is repeated whose key the provider may have forgotten (`PROVIDER_KEY_HOURS`): it would be
        done twice. Steps that the provider itself cannot do twice (a capture, a cancellation) return None.
        """

    def settle(self, answered: Sequence[tuple[dict[str, Any], dict[str, Any]]]) -> Sequence[Reply | None]:
        """Write (request, answer) into our own rows and return the replies (None for an undo)."""

    def record_refusal(self, request: dict[str, Any], refusal: Refused) -> None:
        """Write a refusal that an operator found into our own rows; most steps keep none."""


@dataclass(frozen=True)
class Handler:
    """How a participant carries out one kind of command: in its own database, or outside."""

    command: type[Command]
    local: LocalStep | None = None
    outside: OutsideStep | None = None

    def call_function(self, function: Callable[..., Any], steps: Sequence[StepRequest]) -> Any:
        """Call a function of this handler with the steps' commands, and with their contexts if it takes them."""
        commands = [step.command for step in steps]
        return (
            function(commands, [step.context for step in steps])
            if takes_context(function)
            else function(commands)
        )

    def run(self, steps: Sequence[StepRequest]) -> Sequence[Reply | Refused | None]:
        """Let a local handler carry out steps; return the outcome of each."""
        assert self.local is not None
        outcomes: Sequence[Reply | Refused | None] = self.call_function(self.local, steps)
        return outcomes

    def make_requests(self, steps: Sequence[StepRequest]) -> list[dict[str, Any]]:
        """Return the full requests of steps outside."""
        assert self.outside is not None
        requests: list[dict[str, Any]] = self.call_function(self.outside.requests, steps)
        return requests

    def find_private(self, request: dict[str, Any]) -> list[str]:
        """The texts of a request that are a secret or a person's."""
        private = self.outside.private if self.outside else ()
        return [*find_texts([request.get(name) for name in private])]

    def record_refusal(self, request: dict[str, Any], refusal: Refused) -> None:
        """Let a step with an effect outside keep a refusal that an operator found."""
        if self.outside:
            self.outside.record_refusal(request, refusal)

    def check_answers(self, answers: Sequence[Any], count: int) -> None:
        """Check what the handler gave for `count` commands before any of it is stored and announced.

        Raises:
            RuntimeError: there are more or fewer answers, or one is no reply of this command.
        """
        name, done = self.command.__name__, self.command.done
        if len(answers) != count:
            raise RuntimeError(f"the handler of {name} gave {len(answers)} answers for {count} commands")
        allowed = (done, Refused) if self.local else (done,)
        for answer in answers:
            if not isinstance(answer, allowed):
                given = type(answer).__name__
                raise RuntimeError(f"the handler of {name} must return {done.__name__}, not {given}")

    def forbidden_refusal(self) -> RuntimeError:
        """After the pivot, and in an undo, a refusal is an error: not stored, tried again (rule 6, outcomes)."""
        return RuntimeError(f"{self.command.__name__} may not be refused")


def find_texts(value: Any) -> Iterator[str]:
    """Every text in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from find_texts(each)


@dataclass(frozen=True)
class StepRequest:
    """One message to a participant."""

    saga: UUID
    name: str
    operation: str
    subject: str
    command: Command | None = field(default=None, repr=False)
    known_done: bool = field(default=False, kw_only=True)
    """Whether the sender knows that the action was done; then its barrier row exists, or the database was set back."""
    origin: Origin = field(default_factory=Origin, kw_only=True)
    """What began the flow."""
    number: int = field(default=1, kw_only=True)
    """Which try of its drive it is."""

    @cached_property
    def context(self) -> StepContext:
        """What its handler may ask for."""
        return StepContext(self.saga, self.name, self.operation, self.key, self.id, self.number)

    @cached_property
    def id(self) -> UUID:
        return command_id(self.saga, self.name, self.operation)

    @cached_property
    def key(self) -> UUID:
        """The key of its barrier row, which action, undo and fence share."""
        return command_id(self.saga, self.name, "do")

    @property
    def log_ids(self) -> dict[str, str]:
        """The ids of a log line about it."""
        return {"saga": str(self.saga), "step": self.name, **name_request(self.origin.request_id)}

    @property
    def needs_a_row(self) -> bool:
        """Whether a missing barrier row would count as proof that the action never ran."""
        return self.operation == "undo"

    def new_row(self, command: str, action: Action, **fields: Any) -> NewRow:
        return NewRow(self.key, self.saga, self.name, command, action, **fields)

    def build_announcements(self, event: Event, outcome: str) -> list[dict[str, Any]]:
        """Return the CloudEvents that announce the outcome; they also feed the saga log (rule 16, the saga log)."""
        about = {"step": self.name, "operation": self.operation, "outcome": outcome}
        event_id = uuid5(self.id, outcome)
        return [writing.cloud_event(event, subject=self.subject, saga=self.saga, event_id=event_id, **about)]

    def report_lost(self, error: StepLost) -> None:
        """Promise the message that parks the saga; call it in a transaction."""
        lost = {"operation": self.operation, "reason": str(error)[:500]}
        writing.add_tasks([(self.saga, self.build_report(STEP_LOST, lost))])

    def build_report(self, task: str, more: Mapping[str, Any]) -> dict[str, Any]:
        """The message that tells the orchestrator something about this step, as this service's own word."""
        kwargs = {"saga": str(self.saga), "step": self.name, "service": settings.SERVICE, **more}
        return {
            "task": task,
            "args": [],
            "kwargs": kwargs | settings.MESSAGE_KEYS.sign_message(settings.SERVICE, task, kwargs),
            "options": {
                **self.origin.make_headers(),
                **topology.route_task(ORCHESTRATOR, task, urgent=True),
                **topology.flower_options(saga=self.saga, step=self.name, subject=self.subject),
            },
        }

    def build_reannouncements(self, outcome: Any) -> list[dict[str, Any]]:
        """Return the events that announce again what another message has stored; none where a chain carries it on."""
        return []


@dataclass
class StepWrites:
    """What one transaction writes into barrier and outbox: collected step by step, written by one statement.

    Args:
        rows: the barrier rows, by key: new, claimed or locked in this transaction.
    """

    rows: Mapping[UUID, AnyRow]
    changed: dict[UUID, AnyRow] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    @contextmanager
    def over(cls, steps: Iterable[StepRequest]) -> Iterator[StepWrites]:
        """One transaction over the barrier rows of these steps: it begins with their locks and ends with `flush`."""
        with transaction.atomic():
            writes = cls(store.lock_rows([step.key for step in steps]))
            yield writes
            writes.flush()

    def update(self, step: StepRequest, **fields: Any) -> None:
        row = self.changed[step.key] = self.rows[step.key]
        for name, value in fields.items():
            setattr(row, name, value)

    def mark_done(self, step: StepRequest, reply: Reply) -> dict[str, Any]:
        stored = encode(reply)
        self.update(step, action=Action.DONE, reply=stored)
        self.events += step.build_announcements(reply, "done")
        return stored

    def mark_refused(self, handler: Handler, step: StepRequest, error: Refused) -> Refused:
        kind = handler.command.refused
        if kind is None:
            raise handler.forbidden_refusal() from error
        refusal = kind(code=error.code, reason=error.reason)
        self.update(step, action=Action.REFUSED, reply=encode(refusal))
        self.events += step.build_announcements(refusal, "refused")
        return error

    def mark_undone(self, step: StepRequest) -> None:
        """The reply of an undo names only the order: its fields are those of the undo's command."""
        assert step.command is not None
        self.update(step, undo=Undo.DONE)
        reply = decode(type(step.command).done, encode(step.command))
        self.events += step.build_announcements(reply, "undone")

    def insert(self) -> None:
        """Insert the rows, which must be new.

        Raises:
            IntegrityError: the database has one of them already.
        """
        bulk.execute(*store.insert_statement(self.changed.values()), *writing.event_statements(self.events))

    def flush(self) -> None:
        """Write the rows, which are claimed or locked here."""
        changes = store.update_statement(self.changed.values(), "action", "undo", "reply", "note")
        bulk.execute(*changes, *writing.event_statements(self.events))


def claim_steps(
    steps: Sequence[S], rows: Mapping[UUID, AnyRow], decide: Callable[[Row | None], D]
) -> list[tuple[S, AnyRow, D]]:
    """Claim the rows; return each step with its row (new, or the one that was there) and what to do about it."""
    there = store.claim_rows(list(rows.values()))
    return [
        (step, row or rows[step.key], decide(store.pure_row(row) if row else None))
        for step in steps
        for row in [there.get(step.key)]
    ]
