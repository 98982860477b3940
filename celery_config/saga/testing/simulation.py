"""Simulation: one saga under one strategy, on a virtual clock; every guarantee is checked after every move."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from celery_config.messaging.states import Action
from celery_config.saga.dsl import Saga, StepKind, field_sources
from celery_config.saga.engine.plan import Operation
from celery_config.saga.states import OPEN, Status, StepState
from celery_config.saga.testing.broker import Broker, Message
from celery_config.saga.testing.engine import REAL, Engine
from celery_config.saga.testing.guarantees import check_after, check_at_the_end
from celery_config.saga.testing.orchestrator import OPERATOR, Orchestrator
from celery_config.saga.testing.participant_state import ParticipantState, Violation
from celery_config.saga.testing.providers import PHASES, UNDER_WAY, ExternalParticipants
from celery_config.saga.testing.strategies import Options, Strategy

INTERRUPTIONS: Options = (
    "nothing", "somebody cancels", "the watchdog looks", "the deadline passes", "the broker loses everything",
    "its database is set back", "an operator holds it",
)  # fmt: skip
# A message moves once for each phase of its worker; each move needs a point with a unique name.
AFTERWARDS = {phase: f"{phase}, afterwards".removeprefix(", ") for phase in ("", UNDER_WAY, *PHASES)}
MAX_MOVES = 5_000
HELD_FOR = 30 * 60.0
needs: dict[type[Saga], dict[str, int]] = {}
PARTICIPANTS = ("do", "undo", "fence", "request", "stray")


@dataclass(frozen=True)
class Setting:
    """The fixed part of a simulation.

    Args:
        outside: the steps whose effect is at a provider.
        lasting: the compensatable steps whose undo fails, and the retriable steps that fail, until repaired.
        operator: what happens to the saga when it is first parked; one of `OPERATOR`.
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
    setting: Setting, strategy: Strategy, *, engine: Engine = REAL, trace: Callable[[str], None] | None = None
) -> Outcome:
    """Run the saga until nothing is under way and nothing is due.

    Args:
        trace: gets a line for each move.
    """
    simulation = Simulation(setting, strategy, engine, trace)
    try:
        simulation.run()
    except Violation as violation:
        return Outcome(simulation.orchestrator.status, simulation.moves, str(violation))
    return Outcome(simulation.orchestrator.status, simulation.moves)


class Simulation:
    """The broker, the participants and the orchestrator of one saga."""

    def __init__(
        self, setting: Setting, strategy: Strategy, engine: Engine, trace: Callable[[str], None] | None
    ) -> None:
        self.setting, self.strategy, self.trace = setting, strategy, trace
        self.broker = Broker(strategy)
        self.states = initial_states(setting)
        self.participants = ExternalParticipants(engine, self.broker, strategy, self.states)
        self.orchestrator = Orchestrator(setting.saga, engine, self.broker, strategy, setting.operator)
        self.moves = 0
        self.is_held, self.held = False, list[Message]()
        self.was_parked = False

    def run(self) -> None:
        """
        Raises:
            Violation: a guarantee was broken.
        """
        broker, saga = self.broker, self.orchestrator
        while True:
            due = saga.due if saga.due is None else max(saga.due, broker.unpublished_until)
            if broker.waiting and (due is None or broker.waiting[0][0] <= due):
                self.handle(broker.next_message())
            elif due is not None:
                broker.now = max(broker.now, due)
                self.trace_move("the watchdog", saga.run_watchdog())
            elif self.is_held:
                self.let_go()
            else:
                break
            self.orchestrator.mark(held=self.is_held)
            check_after(saga, self.states.values())
            self.moves += 1
            if self.moves > MAX_MOVES:
                raise Violation(f"no end after {MAX_MOVES} moves; the saga is {saga.status}")
        self.check_end()

    def check_end(self) -> None:
        check_at_the_end(
            self.orchestrator,
            self.states.values(),
            may_park=self.setting.lasting,
            may_be_settled=self.was_parked,
        )

    def handle(self, message: Message) -> None:
        then = AFTERWARDS[message.phase]
        if self.is_held and message.kind == Operation.DO and not message.phase:
            self.held.append(message)
            happened = "held"
        elif message.kind in PARTICIPANTS:
            happened = getattr(self.participants, message.kind)(message)
        else:
            if message.operation == "resumes":
                self.query_pivot_barrier()
            happened = self.orchestrator.handle(message)
        if self.trace:
            self.trace_move(str(message), happened)
        self.interrupt(message, then)
        if self.orchestrator.repaired:
            for state in self.states.values():
                state.lasting = False

    def query_pivot_barrier(self) -> None:
        """Read the pivot's barrier before a resume, as saga/operations/operators.py does."""
        for state in self.states.values():
            if state.is_pivot and state.row and state.row.action is Action.DONE:
                self.orchestrator.merge(state.name, StepState.DONE)

    def interrupt(self, message: Message, then: str) -> None:
        """Let something happen that may happen at any moment."""
        if self.orchestrator.status not in OPEN:
            return
        happens = self.strategy.choose(message, then, INTERRUPTIONS)
        if happens == "nothing":
            return
        match happens:
            case "somebody cancels":
                self.orchestrator.cancel()
            case "the watchdog looks":
                self.orchestrator.run_watchdog(early=True)
            case "the deadline passes":
                self.orchestrator.pass_deadline()
            case "the broker loses everything":
                self.broker.lose_everything()
            case "its database is set back":
                self.set_back(message)
            case "an operator holds it":
                self.is_held = True
        self.trace_move(happens, f"the saga is {self.orchestrator.status}")

    def let_go(self) -> None:
        """Let go of what was held for longer than the deadline (rule 30, holds).

        Until then nothing is under way. A saga that is parked by now was parked rightly, and what is let go may settle
        what it was parked for: it stays parked until an operator looks.
        """
        if self.orchestrator.status is Status.PARKED:
            self.check_end()
            self.was_parked = True
        self.is_held = False
        self.broker.now += HELD_FOR
        self.orchestrator.mark(held=False)
        for message in self.held:
            self.broker.redeliver(message)
        self.held = []
        self.trace_move("the hold", "everything is let go")

    def set_back(self, message: Message) -> None:
        """Restore the database of a step's participant to a moment before the step, whose effect is at a provider.

        The log and every message that may yet undo it know that it was done. What a message says that was sent before
        the log knew is beyond the protocol: such messages wait while the participant is recovered.
        """
        state = self.states.get(message.step)
        if (
            state is None
            or not (state.outside and state.live)
            or self.orchestrator.log[state.name] is not StepState.DONE
        ):
            return
        under_way = [waiting for _, _, waiting in self.broker.waiting]
        if any(may_undo(each, state) or (each.phase and each.step == state.name) for each in under_way):
            return
        state.row, state.set_back = None, True

    def trace_move(self, who: str, happened: str) -> None:
        if self.trace:
            self.trace(f"{self.broker.now:9.1f} s  {who}: {happened}")


def required_replies(saga: type[Saga]) -> dict[str, int]:
    """The earlier steps whose reply each step needs, as a bit each; from a cache."""
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


def may_undo(message: Message, state: ParticipantState) -> bool:
    """Whether the message was sent before the log knew of the step, and undoes or fences it on its way."""
    if message.known >> state.position & 1:
        return False
    links = message.chain[message.at :]
    return any(link.step == state.name and link.operation is not Operation.DO for link in links)
