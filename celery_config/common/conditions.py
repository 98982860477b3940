"""Conditions: what stands and why, one for each cause, however many orders it holds up. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class ConditionKind(StrEnum):
    """What somebody is told of. The words are stored in rules and sent in webhooks."""

    PARKED = "parked"
    OVERDUE = "overdue"
    HOLD_ENDING = "hold_ending"
    HELD = "held"
    REQUEST = "request"
    FAILING = "failing"
    CANCELLED = "cancelled"
    DEAD_LETTER = "dead_letter"
    STANDING = "standing"
    NO_CONSUMER = "no_consumer"
    RELAY = "relay"
    COPY = "copy"
    BOOKS = "books"
    PROMISE = "promise"
    SERVICE = "service"
    NOTIFIER = "notifier"
    BLIND = "blind"


KIND_WORDS: dict[ConditionKind, str] = {
    ConditionKind.PARKED: "parked: somebody has to decide",
    ConditionKind.OVERDUE: "overdue: the time to decide, or the deadline, is over",
    ConditionKind.HOLD_ENDING: "held money: the provider is about to let it go while the order is parked",
    ConditionKind.HELD: "held by an operator for long, and not let go",
    ConditionKind.REQUEST: "request: one person asks for an act, and another one decides",
    ConditionKind.FAILING: "what is on its way fails and is tried again and again",
    ConditionKind.CANCELLED: "most of what ends is cancelled for one cause",
    ConditionKind.DEAD_LETTER: "dead letter",
    ConditionKind.STANDING: "saga time stands",
    ConditionKind.NO_CONSUMER: "no worker takes messages",
    ConditionKind.RELAY: "messages are not sent: a relay is dead, or the broker takes none",
    ConditionKind.COPY: "a copy differs from its source, or is late",
    ConditionKind.BOOKS: "our books and those of the provider or carrier differ",
    ConditionKind.PROMISE: "what all services say of an order that ended does not fit together",
    ConditionKind.SERVICE: "a service does not answer, or says that something is wrong",
    ConditionKind.NOTIFIER: "the notifier itself is dead",
    ConditionKind.BLIND: "a part cannot be looked at, so that nothing is told of it",
}


class Severity(StrEnum):
    """How soon somebody looks: today, or now. The same words as in the alerts for Prometheus."""

    TICKET = "ticket"
    PAGE = "page"

    def reaches(self, least: Severity) -> bool:
        """Whether it is as urgent as `least`, or more."""
        order = [*Severity]
        return order.index(self) >= order.index(least)


@dataclass(frozen=True)
class Amount:
    """Money in minor units that waits with a condition; `state` is held, taken or in doubt."""

    state: str
    currency: str
    amount: int


@dataclass(frozen=True, kw_only=True)
class Condition:
    """Something that stands, as it is now.

    Args:
        kind: what it is.
        cause: what tells it from others of its kind; the same for as long as it lasts.
        sentence: what stands and why, in one sentence without personal data.
        link: the address of the page with the act.
        advice: what is to be mended, in one sentence; empty: it is not known.
        severity: how soon somebody looks.
        count: how many orders, letters or differences it is about.
        money: what they hold, have taken or may hold, as far as it is known.
        since: when it began; None: it is not known, and counts from the first look.
        due: by when somebody has to decide.
        patience: how many seconds it lasts before somebody is told: what mends itself meanwhile is not told.
        also: further kinds that it is: a rule that has one of them has this, too.
    """

    kind: ConditionKind
    cause: str
    sentence: str
    link: str
    advice: str = ""
    severity: Severity = Severity.PAGE
    count: int = 1
    money: Sequence[Amount] = ()
    since: datetime | None = None
    due: datetime | None = None
    patience: float = 0.0
    also: Sequence[ConditionKind] = ()


FindConditions = Callable[[], Iterable[Condition]]
"""Reads what stands, and changes nothing; the setting CONDITIONS names such functions."""
