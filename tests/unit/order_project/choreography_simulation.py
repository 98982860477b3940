"""All four services' `subscriptions.py`, played without any of them: every message may come late, twice or never.

A participant is its barrier and its lines; the decisions are the real ones (messaging/barrier/decisions.py).
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib import import_module

from celery_config.common.services import PARTICIPANTS, SERVICES
from celery_config.contracts.base import Event
from celery_config.contracts.order import OrderPlaced, OrderWithdrawn
from celery_config.contracts.subscriptions import ReactionRule
from celery_config.messaging.barrier.decisions import (
    OnAction,
    OnFence,
    OnUndo,
    Row,
    on_action,
    on_fence,
    on_undo,
)
from celery_config.messaging.states import Action, Undo
from celery_config.saga.states import ENDED, Status
from order_project.choreography import derivation

REACTIONS: list[ReactionRule] = [
    each
    for service in PARTICIPANTS
    for each in import_module(f"{SERVICES[service].package}.subscriptions").SUBSCRIPTIONS
    if isinstance(each, ReactionRule)
]


@dataclass(frozen=True)
class Message:
    """An event on its way to one line of a service's part, or to the order service (None)."""

    kind: str
    drive: int
    to: ReactionRule | None


@dataclass
class Stage:
    """One order.

    Args:
        chance: decides what happens next.
        refusing: the commands that are refused, by wire name.
    """

    chance: random.Random
    refusing: frozenset[str] = frozenset()
    rows: dict[str, Row] = field(default_factory=dict)
    effects: dict[str, int] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    under_way: list[Message] = field(default_factory=list)
    drives: int = 0
    said: set[str] = field(default_factory=set)

    def say(self, kind: type[Event], drive: int = 0) -> None:
        name = kind.wire_name()
        self.said.add(name)
        self.under_way += [Message(name, drive, each) for each in REACTIONS if name in each.patterns]
        self.under_way.append(Message(name, drive, None))

    def place(self) -> None:
        self.say(OrderPlaced)

    def withdraw(self) -> None:
        """As whoever cancels does: unless it is too late, or said already."""
        if self.standing is Status.RUNNING:
            self.seen.add(OrderWithdrawn.wire_name())
            self.say(OrderWithdrawn)

    def drive(self) -> None:
        """As the relay does when nothing is heard."""
        self.drives += 1
        self.say(OrderWithdrawn if self.standing is Status.STOPPING else OrderPlaced, self.drives)

    @property
    def standing(self) -> Status:
        return derivation.derive_status(self.seen)

    def deliver(self, message: Message) -> None:
        if message.to is None:
            if message.kind in derivation.EVENTS_OF_AN_ORDER:
                self.seen.add(message.kind)
        elif message.to.operation == "do":
            self.act(message.to, message.drive)
        else:
            self.undo(message.to, message.drive)

    def act(self, line: ReactionRule, drive: int) -> None:
        name = line.action.wire_name()
        decision = on_action(self.rows.get(name), "")
        if decision is OnAction.RUN:
            refused = name in self.refusing
            self.rows[name] = Row(Action.REFUSED if refused else Action.DONE)
            self.effects[name] = self.effects.get(name, 0) + (not refused)
        elif not drive:
            return
        match self.rows[name].action:
            case Action.DONE if decision is not OnAction.OUTLIVED:
                self.say(line.announce, drive)
            case Action.REFUSED if decision is not OnAction.OUTLIVED:
                assert line.refused
                self.say(line.refused, drive)

    def undo(self, line: ReactionRule, drive: int) -> None:
        if line.unless:
            pivot = line.unless.wire_name()
            if on_fence(self.rows.get(pivot)) is OnFence.RAN:
                assert line.retained
                self.say(line.retained, drive)
                return
            self.rows.setdefault(pivot, Row(Action.TOMBSTONE))
        name = line.action.wire_name()
        row = self.rows.get(name)
        match on_undo(row):
            case OnUndo.TOMBSTONE:
                self.rows[name] = Row(Action.TOMBSTONE, Undo.DONE)
            case OnUndo.REPEAT if not drive:
                return
            case OnUndo.UNDO | OnUndo.NOTHING_TO_UNDO:
                assert row
                self.effects[name] = 0
                self.rows[name] = Row(row.action, Undo.DONE)
        self.say(line.announce, drive)

    def step(self) -> None:
        """One message, any: delivered and gone, delivered and left to come again, or lost."""
        message = self.chance.choice(self.under_way)
        fate = self.chance.random()
        if fate < 0.85:
            self.under_way.remove(message)
        if fate < 0.7 or fate >= 0.85:
            self.deliver(message)

    def play(self, *, withdrawn_at: Iterable[int] = (), most: int = 2000) -> None:
        """To the end, driven whenever nothing is under way."""
        self.place()
        wishes = set(withdrawn_at)
        for moment in range(most):
            if moment in wishes:
                self.withdraw()
            if self.under_way:
                self.step()
            elif self.standing in ENDED:
                return
            else:
                self.drive()
        raise AssertionError(f"did not end: {self.standing}, seen {sorted(self.seen)}, rows {self.rows}")
