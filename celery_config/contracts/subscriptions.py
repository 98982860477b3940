"""Subscriptions: a service's `subscriptions.py` declares what it receives and reacts to, checked when read. Pure.

    SUBSCRIPTIONS = [
        subscribe(ProductChanged, call="celery_config.copies.subscriber.handle_events", once=False),
        react(OrderPlaced, do=AuthorizePayment, announce=PaymentReceived, refused=PaymentFailed),
        react(OrderWithdrawn, undo=AuthorizePayment, by=VoidPayment, announce=PaymentReleased,
              unless=CapturePayment, retained=PaymentRetained),
    ]

`subscribe` calls a function with the events. `react` is choreography: without an orchestrator, the event makes the
service carry out a command, through the same handlers, barrier and outbox as a command that was sent. The fields of the
command and of the announced event are found by name, in the event and in the reply.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property

from celery_config.common.services import PARTICIPANTS
from celery_config.contracts.base import Command, Event, StepGaveUp, contract_fields, is_required
from celery_config.errors import DefinitionError

SAGA_LOG = "celery_config.saga.engine.tasks.write_saga_log"
"""What writes the saga log from participants' events."""


@dataclass(frozen=True)
class EventSubscription:
    """A function that is called with events; see `subscribe`."""

    to: tuple[type[Event] | str, ...]
    call: str
    once: bool

    @property
    def patterns(self) -> tuple[str, ...]:
        """Topic patterns."""
        return tuple(each if isinstance(each, str) else each.wire_name() for each in self.to)


@dataclass(frozen=True, kw_only=True)
class ReactionRule:
    """What an event makes a service do; see `react`."""

    to: tuple[type[Event], ...]
    action: type[Command]
    """The step that is done or undone."""
    command: type[Command]
    """The command that is carried out: the action, or its undo."""
    announce: type[Event]
    refused: type[Event] | None
    unless: type[Command] | None
    retained: type[Event] | None
    after: tuple[type[Command], ...] = ()
    """Steps of other services that must have run, beside the one that the event is of."""

    @property
    def patterns(self) -> tuple[str, ...]:
        return tuple(each.wire_name() for each in self.to)

    @property
    def operation(self) -> str:
        return "do" if self.command is self.action else "undo"

    @cached_property
    def announces(self) -> tuple[type[Event], ...]:
        return tuple(filter(None, (self.announce, self.refused, self.retained)))

    def __post_init__(self) -> None:
        for fault in self.faults():
            raise DefinitionError(f"on {', '.join(self.patterns)}: {fault}")

    def faults(self) -> Iterator[str]:
        if {self.action.service, *(kind.service for kind in self.announces)} != {self.command.service}:
            yield "the action, its undo and all announced events must belong to one service"
        if bool(self.unless) != bool(self.retained):
            yield "`unless` and `retained` belong together: the pivot, and the event that announces that it ran"
        if self.operation == "do" and (self.command.refused is None) != (self.refused is None):
            yield f"`refused` must be given exactly if {self.command.__name__} may be refused"
        for event in self.to:
            yield from find_missing_fields(self.command, event)
            yield from find_missing_fields(self.announce, event, self.command.done)
            if self.refused and self.command.refused:
                yield from find_missing_fields(self.refused, event, self.command.refused)
            if self.retained:
                yield from find_missing_fields(self.retained, event)


def merge_patterns(subscriptions: Iterable[EventSubscription | ReactionRule]) -> tuple[str, ...]:
    """The topic patterns that bring all these events, each once, without those that a wider one covers."""
    patterns = dict.fromkeys(pattern for each in subscriptions for pattern in each.patterns)
    return tuple(p for p in patterns if not any(p != wider and fnmatchcase(p, wider) for wider in patterns))


def find_missing_fields(wanted: type, *sources: type) -> Iterator[str]:
    """Yield a fault for each field of `wanted` that no source has."""
    known = {field.name for source in sources for field in contract_fields(source)}
    for field in contract_fields(wanted):
        if field.name not in known and is_required(field):
            names = " and ".join(source.__name__ for source in sources)
            yield f"{wanted.__name__}.{field.name} is not in {names}"


def subscribe(*to: type[Event] | str, call: str, once: bool = True) -> EventSubscription:
    """Call a function with the events of these kinds that have arrived, in one transaction, in the order of arrival.

    Args:
        to: contracts (their events are decoded), or topic patterns such as `payment.*` (it gets the data as they came).
        call: its dotted path, so that other programs can read this file without importing the service.
        once: remember the events' ids, so that a repeat is not handled again. A function whose repeats are harmless by
            themselves (a monotone merge) does not need it. The inbox stores `call` with each id: a function that moves
            handles old events again.
    """
    return EventSubscription(to, call, once)


def subscribe_saga_log() -> EventSubscription:
    """Let the orchestrator log what every participant announces: the table of services says who that is."""
    patterns = [f"{service}.*" for service in (*PARTICIPANTS, StepGaveUp.service)]
    return subscribe(*patterns, call=SAGA_LOG, once=False)


def react(
    *events: type[Event],
    do: type[Command] | None = None,
    undo: type[Command] | None = None,
    by: type[Command] | None = None,
    announce: type[Event],
    refused: type[Event] | None = None,
    unless: type[Command] | None = None,
    retained: type[Event] | None = None,
    after: tuple[type[Command], ...] = (),
) -> ReactionRule:
    """Carry out a command of this service, once for each order, when one of these events arrives.

    Args:
        do: the command; or
        undo, by: the action to undo, and the command that undoes it.
        announce: the event when it is done, or undone.
        refused: the event when it is refused, or its tries are used up; the other services compensate on it.
        unless: a pivot: if it ran nothing is undone; if not, it never will run once this is undone.
        retained: the event when the pivot ran.
        after: steps that must have run before, and that the service which announces the event cannot vouch for; the
            event must bring their proofs (rule 29, authenticity).

    Raises:
        DefinitionError: a field has no source, or something belongs to another service.
    """
    action, command = do or undo, do or by
    if action is None or command is None or bool(do) == bool(undo):
        raise DefinitionError("react(…) takes `do`, or `undo` and `by`")
    return ReactionRule(
        to=events,
        action=action,
        command=command,
        announce=announce,
        refused=refused,
        unless=unless,
        retained=retained,
        after=after,
    )
