"""One saga's life under one schedule: events in the order of a virtual clock, every guarantee checked on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from celery_config.messaging.states import Action
from celery_config.saga.dsl import Saga, StepKind, field_sources
from celery_config.saga.states import OPEN, StepState
from celery_config.saga.testing.broker import Broker, Message
from celery_config.saga.testing.engine import REAL, Engine
from celery_config.saga.testing.guarantees import check_after, check_at_the_end
from celery_config.saga.testing.orchestrator import OPERATOR, Orchestrator
from celery_config.saga.testing.participant_state import ParticipantState, Violation
from celery_config.saga.testing.providers import PHASES, UNDER_WAY, ExternalParticipants
from celery_config.saga.testing.strategies import Options, Strategy

INTERRUPTIONS: Options = (
    "nothing", "somebody cancels", "the watchdog looks", "the deadline passes", "the broker loses everything",
)  # fmt: skip
# A message is moved once for each phase of its worker, and a point's name must be its own.
AFTERWARDS = {phase: f"{phase}, afterwards".removeprefix(", ") for phase in ("", UNDER_WAY, *PHASES)}
MAX_MOVES = 5_000
needs: dict[type[Saga], dict[str, int]] = {}
PARTICIPANTS = ("do", "undo", "fence", "request", "stray")


@dataclass(frozen=True)
class Setting:
    """What does not change during a simulation.

    Args:
        outside: the steps whose effect is at a provider.
        lasting: the compensatable steps whose undo, and the retriable steps which themselves, fail until repaired.
        operator: what becomes of the saga when it is first parked; one of `OPERATOR`.
    """

    saga: type[Saga]
    outside: frozenset[str] = frozenset()
    lasting: frozenset[str] = frozenset()
    operator: str = OPERATOR[0]


@dataclass(frozen=True)
class Outcome:
    status: str
    moves: int
    violation: str = ""


def simulate(
    setting: Setting, choices: Strategy, *, engine: Engine = REAL, tell: Callable[[str], None] | None = None
) -> Outcome:
    """Run the saga until nothing is under way and nothing is due.

    Args:
        tell: gets a line for each move.
    """
    world = Simulation(setting, choices, engine, tell)
    try:
        world.run()
    except Violation as violation:
        return Outcome(world.orchestrator.status, world.moves, str(violation))
    return Outcome(world.orchestrator.status, world.moves)


class Simulation:
    """The broker, the participants and the orchestrator of one saga."""

    def __init__(
        self, setting: Setting, choices: Strategy, engine: Engine, tell: Callable[[str], None] | None
    ) -> None:
        self.setting, self.choices, self.tell = setting, choices, tell
        self.broker = Broker(choices)
        self.books = initial_states(setting)
        self.participants = ExternalParticipants(engine, self.broker, choices, self.books)
        self.orchestrator = Orchestrator(setting.saga, engine, self.broker, choices, setting.operator)
        self.moves = 0

    def run(self) -> None:
        """
        Raises:
            Violation: a guarantee was broken.
        """
        broker, saga = self.broker, self.orchestrator
        while True:
            due = saga.due if saga.due is None else max(saga.due, broker.unpublished_until)
            if broker.waiting and (due is None or broker.waiting[0][0] <= due):
                self.handle(broker.take())
            elif due is not None:
                broker.now = max(broker.now, due)
                self.told("the watchdog", saga.look())
            else:
                break
            check_after(saga, self.books.values())
            self.moves += 1
            if self.moves > MAX_MOVES:
                raise Violation(f"no end after {MAX_MOVES} moves; the saga is {saga.status}")
        check_at_the_end(saga, self.books.values(), may_park=self.setting.lasting)

    def handle(self, message: Message) -> None:
        then = AFTERWARDS[message.phase]
        if message.kind in PARTICIPANTS:
            happened = getattr(self.participants, message.kind)(message)
        else:
            if message.operation == "resumes":
                self.ask_the_pivot()
            happened = self.orchestrator.handle(message)
        if self.tell:
            self.told(str(message), happened)
        self.meanwhile(message, then)
        if self.orchestrator.repaired:
            for book in self.books.values():
                book.lasting = False

    def ask_the_pivot(self) -> None:
        """Before a human's resume its participant's barrier is asked, as saga/operators.py does."""
        for book in self.books.values():
            if book.is_pivot and book.row and book.row.action is Action.DONE:
                self.orchestrator.merge(book.name, StepState.DONE)

    def meanwhile(self, message: Message, then: str) -> None:
        """What may happen at any moment."""
        if self.orchestrator.status not in OPEN:
            return
        happens = self.choices.choose(message, then, INTERRUPTIONS)
        if happens == "nothing":
            return
        match happens:
            case "somebody cancels":
                self.orchestrator.cancel()
            case "the watchdog looks":
                self.orchestrator.look(early=True)
            case "the deadline passes":
                self.orchestrator.pass_deadline()
            case "the broker loses everything":
                self.broker.lose_everything()
        self.told(happens, f"the saga is {self.orchestrator.status}")

    def told(self, who: str, happened: str) -> None:
        if self.tell:
            self.tell(f"{self.broker.now:9.1f} s  {who}: {happened}")


def required_replies(saga: type[Saga]) -> dict[str, int]:
    """Which earlier steps' replies each step needs, a bit each; worked out once for each saga."""
    if saga in needs:
        return needs[saga]
    bits = {s.name: 1 << n for n, s in enumerate(saga.steps)}
    needs[saga] = {
        s.name: sum({bits[giver] for giver in field_sources(saga, s, s.command).values()}) for s in saga.steps
    }
    return needs[saga]


def initial_states(setting: Setting) -> dict[str, ParticipantState]:
    needed = required_replies(setting.saga)
    return {
        s.name: ParticipantState(
            s.name,
            n,
            s.name in setting.outside,
            s.name in setting.lasting,
            s.kind is StepKind.COMPENSATABLE,
            s.kind is StepKind.PIVOT,
            s.command.refused is not None and s.kind is not StepKind.RETRIABLE,
            needed[s.name],
        )
        for n, s in enumerate(setting.saga.steps)
    }
