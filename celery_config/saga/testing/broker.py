"""Simulated broker on a virtual clock: it may lose, repeat, reorder and delay every message."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

from celery_config.saga.engine.plan import PlannedLink
from celery_config.saga.testing.strategies import Options, Strategy

SOON, OUT_OF_TURN = 1.0, 7.5
AFTER_THE_SILENCE, AFTER_THE_DEADLINE = 160.0, 1100.0  # against `Times` and the 15 minutes most sagas have
DELIVERIES: Options = (
    "delivered", "lost", "delivered twice", "delivered again much later", "delivered out of turn",
    "delivered after a silence", "delivered very late",
)  # fmt: skip
OUTBOX_DELIVERIES: Options = (*DELIVERIES, "relayed late")
DELAYS: dict[str, tuple[float, ...]] = {
    "delivered": (SOON,),
    "lost": (),
    "delivered twice": (SOON, SOON),
    "delivered again much later": (SOON, AFTER_THE_SILENCE),
    "delivered out of turn": (OUT_OF_TURN,),
    "delivered after a silence": (AFTER_THE_SILENCE,),
    "delivered very late": (AFTER_THE_DEADLINE,),
    "relayed late": (AFTER_THE_SILENCE + SOON,),
}


@dataclass(slots=True, eq=False)
class Message:
    """A message under way (a link, an errback, an event), or a worker in the middle of a step.

    `replies` has a bit for each step whose reply it carries, `known` one for each that the log knew as done; `phase` is
    where its worker stands, if it has one.
    """

    kind: str
    step: str = ""
    operation: str = ""
    chain: tuple[PlannedLink, ...] = ()
    at: int = 0
    replies: int = 0
    contents: str = ""
    phase: str = ""
    answer: str = ""
    number: int = 0
    in_outbox_until: float = 0.0
    known: int = 0

    def __str__(self) -> str:
        return " ".join(word for word in (self.kind, self.operation, self.step, str(self.number)) if word)

    def copy(self) -> Message:
        """The same message, before any worker took it."""
        again = Message(
            self.kind, self.step, self.operation, self.chain, self.at, self.replies, self.contents
        )
        again.known = self.known
        return again


class Broker:
    """The messages under way, by time of arrival. Times are in seconds."""

    def __init__(self, strategy: Strategy) -> None:
        self.strategy = strategy
        self.now = 0.0
        self.unpublished_until = 0.0
        self.waiting: list[tuple[float, int, Message]] = []
        self.count = 0
        self.numbers: defaultdict[tuple[str, str, str], int] = defaultdict(int)

    def send(self, message: Message, after: float = 0.0) -> None:
        """Publish once, `after` seconds from now; the strategy chooses how it is delivered."""
        self.name(message)
        choice = self.strategy.choose(message, "on its way", DELIVERIES)
        if choice == "delivered":
            self.enqueue(message, after + SOON)
        else:
            self.enqueue_copies(message, choice, after)

    def send_from_outbox(self, message: Message) -> None:
        """Publish from the orchestrator's outbox; the watchdog skips the saga until then."""
        self.name(message)
        choice = self.strategy.choose(message, "on its way", OUTBOX_DELIVERIES)
        if choice == "relayed late":
            message.in_outbox_until = self.now + AFTER_THE_SILENCE
            self.unpublished_until = max(self.unpublished_until, message.in_outbox_until)
        self.enqueue_copies(message, choice)

    def enqueue_copies(self, message: Message, choice: str, after: float = 0.0) -> None:
        for n, delay in enumerate(DELAYS[choice]):
            if n:
                message = message.copy()
                self.name(message)
            self.enqueue(message, after + delay)

    def redeliver(self, message: Message) -> None:
        """Deliver once more: the worker died before its ack."""
        again = message.copy()
        self.name(again)
        self.enqueue(again, SOON)

    def name(self, message: Message) -> None:
        key = (message.kind, message.operation, message.step)
        message.number = self.numbers[key] = self.numbers[key] + 1

    def enqueue(self, message: Message, delay: float) -> None:
        self.count += 1
        heappush(self.waiting, (self.now + delay, self.count, message))

    def next_message(self) -> Message:
        self.now, _, message = heappop(self.waiting)
        return message

    def lose_everything(self) -> None:
        """The broker loses its disk; workers, providers and outboxes keep what they have."""
        self.waiting = [w for w in self.waiting if w[2].phase or w[2].in_outbox_until > self.now]
        heapify(self.waiting)
