"""How a participant acts on events by itself: the lines of its `subscriptions.py` (contracts/subscriptions.py), carried out.

The same handlers as for commands, the same barrier, intents and outbox: only the asking and the telling differ. What is
asked is in the event that was heard; what comes of it is told as an event, in the transaction in which it becomes true.
The barrier's key is order, action and operation (rule 22), not the event's id: whoever hears the same again, or of the
same order another reason to undo, finds it done.

Whoever placed the order says an event again when nothing is heard of it. Such an event bears the number of its `drive`,
and what was done long ago is then told once more, so that the others hear it, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any
from uuid import UUID, uuid5

from celery.exceptions import Ignore
from django.db import transaction
from django.utils.module_loading import import_string

from celery_config.contracts.base import Event, StepGaveUp, decode, encode
from celery_config.contracts.subscriptions import EventSubscription, ReactionRule
from celery_config.erasure import tombstones
from celery_config.errors import DefinitionError, Refused
from celery_config.messaging.barrier.actions import act
from celery_config.messaging.barrier.compensations import undo
from celery_config.messaging.barrier.fences import Fence, fence
from celery_config.messaging.barrier.steps import Handler, Step
from celery_config.messaging.barrier.store import AnyRow
from celery_config.messaging.deliveries import Call, Delivery, Outcome
from celery_config.messaging.inbox.subscriptions import reactors, subscribes
from celery_config.messaging.outbox import writing
from celery_config.messaging.states import Action
from celery_config.participant.handlers import measure, registry, run_deduplicated, why_given_up

FLOW = "choreographed"


def register(subscriptions: Iterable[EventSubscription | ReactionRule]) -> None:
    """Let this service hear, and act on, what its `subscriptions.py` says.

    Raises:
        DefinitionError: two lines act on one kind of event.
    """
    for each in subscriptions:
        if isinstance(each, EventSubscription):
            subscribes(*each.to, once=each.once)(import_string(each.call))
            continue
        for kind in each.patterns:
            if kind in reactors:
                raise DefinitionError(f"two lines act on {kind}; one event asks for one thing")
            reactors[kind] = ReactionHandler(each)


@dataclass(frozen=True, kw_only=True)
class Heard:
    """An event of a choreographed order."""

    saga: UUID
    """The order's id."""
    data: dict[str, Any]
    drive: int = 0


def answer_event(event: Event, heard: Heard, key: UUID, **extensions: Any) -> dict[str, Any]:
    """The CloudEvent that answers what was heard; `key` is of whatever did it."""
    name = f"{event.wire_name()}/{heard.drive}"
    return announced(event, order=heard.saga, drive=heard.drive, event_id=uuid5(key, name), **extensions)


def announced(event: Event, *, order: UUID, drive: int = 0, event_id: UUID, **more: Any) -> dict[str, Any]:
    """A CloudEvent of a choreographed order; said again, it bears the number of its drive."""
    if drive:
        more["drive"] = drive
    return writing.cloud_event(event, subject=str(order), saga=order, event_id=event_id, flow=FLOW, **more)


@dataclass(frozen=True)
class ReactionStep(Step):
    """A step that an event asked for."""

    reaction: ReactionRule = field(kw_only=True)
    heard: Heard = field(kw_only=True)
    repeats: bool = field(kw_only=True)
    """Whether what was done before is told once more; it was not, if a webhook or a human wrote it between tries."""

    def announcement(self, event: Event, outcome: str) -> dict[str, Any]:
        kind = self.reaction.refused if outcome == "refused" else self.reaction.announce
        assert kind is not None
        return answer_event(decode(kind, self.heard.data | encode(event)), self.heard, self.id)

    def again(self, handler: Handler, outcome: Outcome) -> dict[str, Any] | None:
        """What was said when it was done; None of what never was, or is not known yet."""
        if isinstance(outcome, Refused) and handler.command.refused:
            return self.announcement(
                handler.command.refused(code=outcome.code, reason=outcome.reason), "refused"
            )
        if isinstance(outcome, (Exception, Call)):
            return None
        reply = outcome if self.operation == "do" else encode(self.command)
        return self.announcement(decode(handler.command.done, reply), "done")


@dataclass(frozen=True)
class PivotDecision(Fence):
    """The pivot's step; its service decides by itself whether it is too late for the undo that was asked for."""

    asked: ReactionStep = field(kw_only=True)

    def announcement(self, event: Event, outcome: str) -> None:
        """What is told is the verdict."""

    @classmethod
    def report(cls, told_of: Sequence[tuple[Any, AnyRow]]) -> None:
        """Say of which orders the pivot ran; of the others it is said when they are undone."""
        writing.add_events(verdict.told() for verdict, row in told_of if row.action == Action.DONE)

    def told(self) -> dict[str, Any]:
        kind, heard = self.asked.reaction.retained, self.asked.heard
        assert kind is not None
        return answer_event(decode(kind, heard.data), heard, self.id)


@dataclass(frozen=True)
class ReactionHandler:
    """Plays one line of a service's part: the `Reactor` of its events."""

    reaction: ReactionRule

    @cached_property
    def handler(self) -> Handler:
        name = self.reaction.command.wire_name()
        if name not in registry:
            raise DefinitionError(f"{name} has no handler; `subscriptions.py` asks for it")
        return registry[name]

    def react(self, deliveries: Sequence[Delivery[Any]]) -> list[Outcome]:
        return run_deduplicated(deliveries, self.part, lambda _, parts: self.play(parts))

    def part(self, delivery: Delivery[Any]) -> ReactionStep:
        """
        Raises:
            msgspec.ValidationError: the event lacks what it must bring.
        """
        reaction, heard = self.reaction, decode(Heard, delivery.request.kwargs)
        command = decode(reaction.command, heard.data)
        name = reaction.action.wire_name()
        return ReactionStep(
            heard.saga, name, reaction.operation, command.subject, command,
            reaction=reaction, heard=heard, repeats=bool(heard.drive or delivery.request.retries),
        )  # fmt: skip

    def play(self, parts: Sequence[Any]) -> list[Outcome]:
        outcomes = self.carry_out(parts)
        self.repeat([pair for pair in zip(parts, outcomes, strict=True) if pair[0].repeats])
        return outcomes

    def carry_out(self, parts: Sequence[ReactionStep]) -> list[Outcome]:
        if self.reaction.operation == "do":
            return act(self.handler, parts)
        if self.reaction.unless is None:
            return undo(self.handler, parts, registry.get)
        pivot = self.reaction.unless.wire_name()
        verdicts = fence(
            [PivotDecision(part.saga, pivot, "do", part.subject, asked=part) for part in parts],
            pivot,
            registry.get,
        )
        return self.unless_retained(list(zip(parts, verdicts, strict=True)))

    def unless_retained(self, judged: Sequence[tuple[ReactionStep, Outcome]]) -> list[Outcome]:
        """Undo, once it is known that the pivot did not run and never will."""
        free = [part for part, verdict in judged if not isinstance(verdict, (Ignore, Call))]
        undone = dict(zip(map(id, free), undo(self.handler, free, registry.get), strict=True)) if free else {}
        return [
            self.once_judged(part, verdict) if isinstance(verdict, Call) else undone.get(id(part), verdict)
            for part, verdict in judged
        ]

    def once_judged(self, part: ReactionStep, verdict: Call) -> Call:
        """The call that settles whether the pivot ran, and what follows from it."""
        return replace(verdict, settle=lambda pairs: self.unless_retained([(part, *verdict.settle(pairs))]))

    def repeat(self, wanted: Sequence[tuple[ReactionStep, Outcome]]) -> None:
        """Say once more what was done before; said twice, it is the same event.

        Not of people who were forgotten: it would pass on what came late of them.
        """
        gone = tombstones.erased_among({part.heard.saga for part, _ in wanted})
        alive = [(part, outcome) for part, outcome in wanted if part.heard.saga not in gone]
        again = [event for part, outcome in alive if (event := part.again(self.handler, outcome))]
        if again:
            with transaction.atomic():
                writing.add_events(again)

    def conclude(self, delivery: Delivery[Any], outcome: Outcome) -> Outcome:
        kwargs, name = delivery.request.kwargs, self.reaction.command.wire_name()
        measure(name, delivery, outcome, order=kwargs.get("subject"), heard=kwargs.get("type"), step=name)
        return outcome

    def give_up(self, delivery: Delivery[Any], error: Exception) -> None:
        """Before the pivot, that is a refusal; after it, and of an undo, whoever placed the order drives it again."""
        part, why = self.part(delivery), why_given_up(error)
        if tombstones.erased_among({part.heard.saga}):
            return
        writing.add_events(
            [part.announcement(why, "refused") if self.reaction.refused else self.failure(part, why)]
        )

    def failure(self, part: ReactionStep, why: StepGaveUp) -> dict[str, Any]:
        about = {"step": part.name, "operation": part.operation, "outcome": "failed"}
        return answer_event(why, part.heard, part.id, **about)
