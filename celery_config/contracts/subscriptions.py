"""The words a service's `subscriptions.py` is written with. Pure.

    SUBSCRIPTIONS = [
        hears(ProductChanged, call="celery_config.copies.subscriber.handle_events", once=False),
        on(OrderPlaced, do=AuthorizePayment, announce=PaymentReceived, refused=PaymentFailed),
        on(OrderWithdrawn, undo=AuthorizePayment, by=VoidPayment, announce=PaymentReleased,
           unless=CapturePayment, retained=PaymentRetained),
    ]

`hears` is for whoever has to know. `on` is choreography: the service acts by itself, with no orchestrator, through the
same handlers, barrier and outbox as if it had been sent the command. The fields of what is done and announced are found
by name, in the event that was heard and in the reply; this is checked when the line is read.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from celery_config.contracts.base import Command, Event, fields_of
from celery_config.errors import DefinitionError


@dataclass(frozen=True)
class EventSubscription:
    """A function that is called with events; see `hears`."""

    to: tuple[type[Event] | str, ...]
    call: str
    once: bool

    @property
    def patterns(self) -> tuple[str, ...]:
        """Topic patterns."""
        return tuple(each if isinstance(each, str) else each.wire_name() for each in self.to)


@dataclass(frozen=True, kw_only=True)
class ReactionRule:
    """What a service does by itself on events; see `on`."""

    to: tuple[type[Event], ...]
    action: type[Command]
    """Whose step it is: what is done, or undone."""
    command: type[Command]
    """What is carried out: the action, or its undo."""
    announce: type[Event]
    refused: type[Event] | None
    unless: type[Command] | None
    retained: type[Event] | None

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
            yield "a service acts and announces for itself alone"
        if bool(self.unless) != bool(self.retained):
            yield "`unless` and `retained` belong together: what must not have run, and what is said if it did"
        if self.operation == "do" and (self.command.refused is None) != (self.refused is None):
            yield f"{self.command.__name__} may be refused exactly if that is announced"
        for heard in self.to:
            yield from lacks(self.command, heard)
            yield from lacks(self.announce, heard, self.command.done)
            if self.refused and self.command.refused:
                yield from lacks(self.refused, heard, self.command.refused)
            if self.retained:
                yield from lacks(self.retained, heard)


def lacks(wanted: type, *sources: type) -> Iterator[str]:
    """Yield what is wrong if a field of `wanted` comes from nowhere."""
    known = {field.name for source in sources for field in fields_of(source)}
    for field in fields_of(wanted):
        optional = (
            field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
        )
        if field.name not in known and not optional:
            names = " and ".join(source.__name__ for source in sources)
            yield f"{wanted.__name__}.{field.name} is not in {names}"


def subscribe(*to: type[Event] | str, call: str, once: bool = True) -> EventSubscription:
    """Call a function with the events of these kinds that have arrived, in one transaction, in the order of arrival.

    Args:
        to: contracts (their events are decoded), or topic patterns such as `payment.*` (it gets the data as they came).
        call: its dotted path, so that these lines can be read without the service.
        once: remember the events' ids, so that a repeat is not handled again. A function whose repeats are harmless by
            themselves (a monotone merge) may do without.
    """
    return EventSubscription(to, call, once)


def react(
    *events: type[Event],
    do: type[Command] | None = None,
    undo: type[Command] | None = None,
    by: type[Command] | None = None,
    announce: type[Event],
    refused: type[Event] | None = None,
    unless: type[Command] | None = None,
    retained: type[Event] | None = None,
) -> ReactionRule:
    """Carry out a command of one's own, once for each order, when one of these events is heard.

    Args:
        do: what to do; or
        undo, by: what to undo, and the command that does it.
        announce: what is said when it is done, or undone.
        refused: what is said when it is refused, or given up; compensating for the others.
        unless: a pivot: nothing is undone if it ran, and it never will once it is undone; and then
        retained: is said.

    Raises:
        DefinitionError: a field comes from nowhere, or somebody else's part would be done.
    """
    action, command = do or undo, do or by
    if action is None or command is None or bool(do) == bool(undo):
        raise DefinitionError("on(…) takes `do`, or `undo` and `by`")
    return ReactionRule(
        to=events,
        action=action,
        command=command,
        announce=announce,
        refused=refused,
        unless=unless,
        retained=retained,
    )
