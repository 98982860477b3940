"""A virtual clock, and a broker that may lose, repeat, reorder and delay whatever it is given."""

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
    """Something under way: a link of a chain, an errback, an event, or a worker in the middle of a step.

    `replies` are the steps whose reply it carries, a bit each; `phase` is where its worker stands, if it has one.
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

    def __str__(self) -> str:
        return " ".join(word for word in (self.kind, self.operation, self.step, str(self.number)) if word)

    def copy(self) -> Message:
        """The same message, delivered once more from the beginning."""
        return Message(self.kind, self.step, self.operation, self.chain, self.at, self.replies, self.contents)


class Broker:
    """What is under way, in the order in which it arrives. Times are seconds."""

    def __init__(self, choices: Strategy) -> None:
        self.choices = choices
        self.now = 0.0
        self.unpublished_until = 0.0
        self.waiting: list[tuple[float, int, Message]] = []
        self.count = 0
        self.numbers: defaultdict[tuple[str, str, str], int] = defaultdict(int)

    def send(self, message: Message, after: float = 0.0) -> None:
        """Publish once, `after` so many seconds; what the broker makes of it is its choice."""
        self.name(message)
        fate = self.choices.choose(message, "on its way", DELIVERIES)
        if fate == "delivered":
            self.put(message, after + SOON)
        else:
            self.put_copies(message, fate, after)

    def promise(self, message: Message) -> None:
        """Publish out of the orchestrator's outbox, whose sagas the watchdog lets alone meanwhile."""
        self.name(message)
        fate = self.choices.choose(message, "on its way", OUTBOX_DELIVERIES)
        if fate == "relayed late":
            message.in_outbox_until = self.now + AFTER_THE_SILENCE
            self.unpublished_until = max(self.unpublished_until, message.in_outbox_until)
        self.put_copies(message, fate)

    def put_copies(self, message: Message, fate: str, after: float = 0.0) -> None:
        for n, delay in enumerate(DELAYS[fate]):
            if n:
                message = message.copy()
                self.name(message)
            self.put(message, after + delay)

    def deliver_again(self, message: Message) -> None:
        """The worker died before the ack."""
        again = message.copy()
        self.name(again)
        self.put(again, SOON)

    def name(self, message: Message) -> None:
        key = (message.kind, message.operation, message.step)
        message.number = self.numbers[key] = self.numbers[key] + 1

    def put(self, message: Message, delay: float) -> None:
        self.count += 1
        heappush(self.waiting, (self.now + delay, self.count, message))

    def take(self) -> Message:
        self.now, _, message = heappop(self.waiting)
        return message

    def lose_everything(self) -> None:
        """The broker's disk is gone; workers, providers and outboxes go on with what they have."""
        self.waiting = [w for w in self.waiting if w[2].phase or w[2].in_outbox_until > self.now]
        heapify(self.waiting)
