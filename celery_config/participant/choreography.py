"""A participant reacts to events as its `subscriptions.py` says (rule 22, choreography): once for an order and action.

Key: order + action + operation, never the event's id.
Repeat: an event with a `drive` number makes the participant announce its stored result again, with that number.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any
from uuid import UUID, uuid5

import msgspec
from celery.exceptions import Ignore
from django.conf import settings
from django.db import transaction
from django.utils.module_loading import import_string

from celery_config.broker.message_authentication import MANDATE, PROOFS, check_proofs
from celery_config.common.correlation import Origin
from celery_config.contracts.base import LOST, Event, StepGaveUp, decode, encode
from celery_config.contracts.subscriptions import EventSubscription, ReactionRule
from celery_config.erasure import tombstones
from celery_config.errors import DefinitionError, Forged, Refused, StepLost
from celery_config.messaging.barrier import failed_tries, store
from celery_config.messaging.barrier.actions import run_actions
from celery_config.messaging.barrier.compensations import undo_actions
from celery_config.messaging.barrier.fences import Fence, fence_pivots
from celery_config.messaging.barrier.steps import Handler, StepRequest
from celery_config.messaging.barrier.store import AnyRow
from celery_config.messaging.deliveries import Call, Delivery, FailedTry, Outcome
from celery_config.messaging.holds.targets import AskedStep
from celery_config.messaging.inbox.subscriptions import add_subscription, reactors
from celery_config.messaging.outbox import writing
from celery_config.messaging.states import Action
from celery_config.messaging.tasks import reject_for_good
from celery_config.participant.handlers import (
    describe_giving_up,
    measure_step,
    registry,
    run_deduplicated,
    settle_lost,
)

FLOW = "choreographed"


def register_subscriptions(subscriptions: Iterable[EventSubscription | ReactionRule]) -> None:
    """Let this service receive and react to events as its `subscriptions.py` says.

    Raises:
        DefinitionError: two rules react to one kind of event.
    """
    for each in subscriptions:
        if isinstance(each, EventSubscription):
            add_subscription(import_string(each.call), *each.to, once=each.once)
            continue
        for kind in each.patterns:
            if kind in reactors:
                raise DefinitionError(f"two rules react to {kind}; one event asks for one action")
            reactors[kind] = ReactionHandler(each)


@dataclass(frozen=True, kw_only=True)
class TriggeringEvent:
    """An event of a choreographed order that asks for a reaction."""

    saga: UUID
    """The order's id; named `saga` because the barrier's column is `saga`."""
    data: dict[str, Any]
    drive: int = 0
    known: str = ""
    """The steps that the order service knows to be done, separated by spaces; answers pass it on."""
    mandate: str = ""
    """What the order service asks each service for (rule 29, authenticity); answers pass it on."""
    proofs: str = ""
    """That steps ran; an answer passes them on, with that of its own step."""
    requestid: str = ""
    traceparent: str = ""

    @property
    def origin(self) -> Origin:
        """What began the order; answers pass it on."""
        return Origin(self.requestid, self.traceparent)


def build_answer_event(
    event: Event, trigger: TriggeringEvent, key: UUID, **extensions: Any
) -> dict[str, Any]:
    """Return the CloudEvent that answers an event; `key` is the id of the step that did it."""
    event_id = uuid5(key, f"{event.wire_name()}/{trigger.drive}")
    passed_on = {MANDATE: trigger.mandate, PROOFS: trigger.proofs, **trigger.origin.make_attributes()}
    return build_event(
        event,
        order=trigger.saga,
        drive=trigger.drive,
        known=trigger.known,
        event_id=event_id,
        **passed_on | extensions,
    )


def build_event(
    event: Event, *, order: UUID, drive: int = 0, known: str = "", event_id: UUID, **extensions: Any
) -> dict[str, Any]:
    """Return a CloudEvent of a choreographed order; a repeated one has the number of its drive.

    Args:
        known: the steps that are known to be done, separated by spaces.
    """
    if drive:
        extensions["drive"] = drive
    if known:
        extensions["known"] = known
    extensions = {name: value for name, value in extensions.items() if value}
    return writing.cloud_event(
        event, subject=str(order), saga=order, event_id=event_id, flow=FLOW, **extensions
    )


@dataclass(frozen=True)
class ReactionStep(StepRequest):
    """A step that an event asks for."""

    rule: ReactionRule = field(kw_only=True)
    trigger: TriggeringEvent = field(kw_only=True)
    repeats: bool = field(kw_only=True)
    """Whether a stored outcome is announced again: a webhook or an operator may have stored it between two tries, or
    before the worker died that made the call."""

    def build_announcements(self, event: Event, outcome: str) -> list[dict[str, Any]]:
        kind = self.rule.refused if outcome == "refused" else self.rule.announce
        assert kind is not None
        proofs = {PROOFS: self.give_proof()} if outcome == "done" and self.operation == "do" else {}
        answer = decode(kind, self.trigger.data | encode(event))
        return [build_answer_event(answer, self.trigger, self.id, **proofs)]

    def give_proof(self) -> str:
        keys, brought = settings.MESSAGE_KEYS, {PROOFS: self.trigger.proofs}
        return str(keys.give_proof(settings.SERVICE, str(self.saga), self.name, brought))

    def report_lost(self, error: StepLost) -> None:
        """Announce it as a failure; the order service parks the order."""
        about = {"step": self.name, "operation": self.operation, "outcome": "failed"}
        gave_up = StepGaveUp(code=LOST, reason=str(error)[:500])
        writing.add_events([build_answer_event(gave_up, self.trigger, self.id, **about)])

    def build_reannouncements(self, outcome: Outcome) -> list[dict[str, Any]]:
        """Return the event of a stored outcome again; none if the outcome has none, or is not known yet."""
        command = self.rule.command
        if isinstance(outcome, Refused) and command.refused:
            return self.build_announcements(
                command.refused(code=outcome.code, reason=outcome.reason), "refused"
            )
        if isinstance(outcome, (Exception, Call)):
            return []
        reply = outcome if self.operation == "do" else encode(self.command)
        return self.build_announcements(decode(command.done, reply), "done")


@dataclass(frozen=True)
class PivotDecision(Fence):
    """Fence of the pivot in a reaction: if the pivot ran, the undo is too late and `retained` is announced."""

    undo: ReactionStep = field(kw_only=True)

    def build_announcements(self, event: Event, outcome: str) -> list[dict[str, Any]]:
        return []  # only the decision is announced

    def report_lost(self, error: StepLost) -> None:
        self.undo.report_lost(error)

    @classmethod
    def report(cls, decided: Sequence[tuple[Any, AnyRow]]) -> None:
        """Announce `retained` for the pivots that ran; the other orders are announced when they are undone."""
        writing.add_events(step.build_retained_event() for step, row in decided if row.action == Action.DONE)

    def build_retained_event(self) -> dict[str, Any]:
        kind, trigger = self.undo.rule.retained, self.undo.trigger
        assert kind is not None
        return build_answer_event(decode(kind, trigger.data), trigger, self.id)


@dataclass(frozen=True)
class ReactionHandler:
    """Carries out one rule of a service's `subscriptions.py`: the `Reactor` of its events."""

    rule: ReactionRule

    @cached_property
    def handler(self) -> Handler:
        name = self.rule.command.wire_name()
        if name not in registry:
            raise DefinitionError(f"{name} has no handler; `subscriptions.py` asks for it")
        return registry[name]

    def react(self, deliveries: Sequence[Delivery[Any]]) -> list[Outcome]:
        forged = {id(each): fault for each in deliveries if (fault := self.find_forgery(each))}
        sound = [each for each in deliveries if id(each) not in forged]
        ran = run_deduplicated(sound, self.decode_step, lambda _, steps: self.run_and_reannounce(steps))
        outcomes: dict[int, Outcome] = {**forged, **dict(zip(map(id, sound), ran, strict=True))}
        return [outcomes[id(each)] for each in deliveries]

    def find_forgery(self, delivery: Delivery[Any]) -> Outcome:
        """Return the outcome of an event that asks for what it may not, or before its turn; else None."""
        try:
            self.check_asked(delivery)
        except Forged as error:
            return reject_for_good(error)
        return None

    def check_asked(self, delivery: Delivery[Any]) -> None:
        """
        What it undoes needs no mandate: of an order that was not placed there is nothing to undo. The barrier row is
        that of the event's `saga`, and the effect is on the order in its data, so both must be one order.

        Raises:
            Forged: the event asks for what the order service did not, or before its turn.
            msgspec.ValidationError: it lacks a field that the command needs.
        """
        event, keys = delivery.request.kwargs, settings.MESSAGE_KEYS
        trigger, name = decode(TriggeringEvent, event), self.rule.command.wire_name()
        if decode(self.rule.command, trigger.data).subject != str(trigger.saga):
            raise Forged(f"the event is forged: it is of {trigger.saga}, and names another order")
        if self.rule.operation != "do":
            return
        mandate = keys.check_mandate(settings.SERVICE, str(trigger.saga), name, trigger.data, event)
        if mandate:
            check_proofs(mandate, [each.wire_name() for each in self.rule.after], event)

    def decode_step(self, delivery: Delivery[Any]) -> ReactionStep:
        """
        Raises:
            msgspec.ValidationError: the event lacks a field that the command needs.
        """
        rule, origin = self.rule, delivery.origin
        trigger = replace(decode(TriggeringEvent, delivery.request.kwargs), traceparent=origin.traceparent)
        command = decode(rule.command, trigger.data)
        name = rule.action.wire_name()
        request = delivery.request
        redelivered = (request.delivery_info or {}).get("redelivered")
        repeats = bool(trigger.drive or request.retries or redelivered)
        return ReactionStep(
            trigger.saga, name, rule.operation, command.subject, command, rule=rule, trigger=trigger, repeats=repeats,
            known_done=name in trigger.known.split(), origin=origin, number=request.retries + 1,
        )  # fmt: skip

    def run_and_reannounce(self, steps: Sequence[Any]) -> list[Outcome]:
        repeated = [step.key for step in steps if step.repeats]
        known = store.known_keys(repeated) if repeated else set()
        outcomes = self.run(steps)
        self.reannounce([pair for pair in zip(steps, outcomes, strict=True) if pair[0].key in known])
        return outcomes

    def run(self, steps: Sequence[ReactionStep]) -> list[Outcome]:
        if self.rule.operation == "do":
            return run_actions(self.handler, steps)
        if self.rule.unless is None:
            return undo_actions(self.handler, steps, registry.get)
        pivot = self.rule.unless.wire_name()
        fences = {
            id(step): PivotDecision(
                step.saga,
                pivot,
                "do",
                step.subject,
                undo=step,
                known_done=pivot in step.trigger.known.split(),
            )
            for step in steps
        }
        outcomes = settle_lost(fences)
        sound = [step for step in steps if id(step) not in outcomes]
        if sound:
            decisions = fence_pivots([fences[id(step)] for step in sound], pivot, registry.get)
            undone = self.undo_unless_retained(list(zip(sound, decisions, strict=True)))
            outcomes |= zip(map(id, sound), undone, strict=True)
        return [outcomes[id(step)] for step in steps]

    def undo_unless_retained(self, decided: Sequence[tuple[ReactionStep, Outcome]]) -> list[Outcome]:
        """Undo where it is certain that the pivot did not run and never will."""
        free = [step for step, decision in decided if not isinstance(decision, (Ignore, Call))]
        outcomes = undo_actions(self.handler, free, registry.get) if free else []
        undone = dict(zip(map(id, free), outcomes, strict=True))
        return [
            self.chain_undo(step, decision) if isinstance(decision, Call) else undone.get(id(step), decision)
            for step, decision in decided
        ]

    def chain_undo(self, step: ReactionStep, call: Call) -> Call:
        """Return the call that settles whether the pivot ran, followed by the undo if it did not."""
        return replace(
            call, finish=lambda answered: self.undo_unless_retained([(step, *call.finish(answered))])
        )

    def reannounce(self, repeated: Sequence[tuple[ReactionStep, Outcome]]) -> None:
        """Announce stored outcomes again: each drive has new event ids, a retry of the same message keeps them.

        Skip erased orders: a repeated event would restore personal data.
        """
        erased = tombstones.erased_among({step.trigger.saga for step, _ in repeated})
        alive = [(step, outcome) for step, outcome in repeated if step.trigger.saga not in erased]
        events = [event for step, outcome in alive for event in step.build_reannouncements(outcome)]
        if events:
            with transaction.atomic():
                writing.add_events(events)

    def find_step(self, delivery: Delivery[Any]) -> AskedStep | None:
        """Name the step that an event asks for, if it is of an order.

        What asks for a step without the right to is no step: it is refused, and not set aside while it is held.
        """
        saga, rule = delivery.message.saga, self.rule
        try:
            self.check_asked(delivery)
        except (Forged, msgspec.ValidationError):
            return None
        if saga is None:
            return None
        return AskedStep(saga=saga, command=rule.command.wire_name(), operation=rule.operation)

    def conclude(self, delivery: Delivery[Any], outcome: Outcome) -> Outcome:
        kwargs, name = delivery.request.kwargs, self.rule.command.wire_name()
        measure_step(
            name, delivery, outcome, order=kwargs.get("subject"), heard=kwargs.get("type"), step=name
        )
        return outcome

    def note_try(self, delivery: Delivery[Any], failed: FailedTry) -> None:
        """Write a failed try down and announce it; of an erased order nothing is said."""
        step = self.decode_step(delivery)
        if not tombstones.erased_among({step.trigger.saga}):
            failed_tries.note_try(step, failed, drive=step.trigger.drive)

    def give_up(self, delivery: Delivery[Any], error: Exception) -> None:
        """Announce a refusal where the rule has one (before the pivot), else a failure.

        The order service keeps the failure; it is the reason if the order is parked.
        """
        step, reason = self.decode_step(delivery), describe_giving_up(error, delivery.request.retries + 1)
        if tombstones.erased_among({step.trigger.saga}):
            return
        if self.rule.refused:
            writing.add_events(step.build_announcements(reason, "refused"))
            return
        about = {"step": step.name, "operation": step.operation, "outcome": "failed"}
        writing.add_events([build_answer_event(reason, step.trigger, step.id, **about)])
