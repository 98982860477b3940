"""Simulated orchestrator: what saga/engine/{runner,tasks,watchdog}.py do with one saga, without a database."""

from __future__ import annotations

from celery_config.common.timeouts import Timeouts
from celery_config.saga.dsl import Saga, StepKind
from celery_config.saga.engine import scheduling
from celery_config.saga.engine.machine import (
    CancelRequested,
    Compensated,
    Completed,
    Drive,
    PivotRan,
    Resume,
    Retry,
    Send,
    StepFailed,
    StepLogged,
    StepLost,
    Trigger,
    View,
    WatchdogFired,
    first_status,
)
from celery_config.saga.states import ENDED, OPEN, Status, StepState
from celery_config.saga.testing.broker import SOON, Broker, Message
from celery_config.saga.testing.engine import Engine
from celery_config.saga.testing.participant_state import Violation
from celery_config.saga.testing.participants import ASKED
from celery_config.saga.testing.strategies import Options, Strategy

TIMES = Timeouts()
HANDLED: Options = (
    "goes well", "crashes before its commit", "crashes after its commit", "becomes a dead letter",
)  # fmt: skip
OPERATOR: Options = (
    "stays parked",
    "is repaired and retried",
    "is retried",
    "is resumed",
    "is repaired and resumed",
)
# The states of docs/protocol.md. An end is final, so the callback runs once.
TRANSITIONS = {
    Status.RUNNING: {Status.COMPLETED, Status.STOPPING, Status.FORWARD, Status.PARKED},
    Status.STOPPING: {Status.COMPENSATED, Status.FORWARD, Status.PARKED},
    Status.FORWARD: {Status.COMPLETED, Status.PARKED},
    Status.PARKED: {Status.STOPPING, Status.FORWARD, Status.COMPLETED, Status.COMPENSATED},
    Status.COMPLETED: set(),
    Status.COMPENSATED: set(),
}


class Orchestrator:
    """The saga's row and log."""

    def __init__(
        self, saga: type[Saga], engine: Engine, broker: Broker, strategy: Strategy, operator: str
    ) -> None:
        self.operator = operator
        self.saga, self.engine, self.broker, self.strategy = saga, engine, broker, strategy
        self.positions = {s.name: n for n, s in enumerate(saga.steps)}
        self.pivots = {s.name for s in saga.steps if s.kind is StepKind.PIVOT}
        self.status = first_status(saga)
        self.log = dict.fromkeys(self.positions, StepState.NOTHING)
        self.since, self.drives, self.parkings = 0.0, 0, 0
        self.last_event_at = -1e9
        self.deadline: float = saga.deadline
        self.held_since: float | None = None
        self.held_for, self.own_deadline = 0.0, self.deadline
        self.repaired = False
        self.due: float | None = self.next_check_at()
        self.send_chain(Drive(saga.steps[0].name))

    def handle(self, message: Message) -> str:
        """Handle one message to the orchestrator in one transaction."""
        # An operator calls over HTTP and sees the result.
        human = message.kind == "operator"
        choice = HANDLED[0] if human else self.strategy.choose(message, "at work", HANDLED)
        if choice == "becomes a dead letter":
            self.broker.send(Message("dead letter", message.step, message.kind))
        elif choice == "crashes before its commit":
            self.broker.redeliver(message)
        else:
            self.dispatch(message)
            if choice == "crashes after its commit":
                self.broker.redeliver(message)
        return f"{choice}: the saga is {self.status}"

    def dispatch(self, message: Message) -> None:
        match message.kind:
            case "dead letter" if message.operation not in ("do", "undo"):
                self.schedule_check()
            case "errback" | "dead letter":
                self.apply_trigger(StepFailed(message.step, message.operation))
            case "event":
                outcome = StepState(message.operation)
                changed = self.merge(message.step, outcome)
                if changed and outcome is StepState.DONE and message.step in self.pivots:
                    self.apply_trigger(StepLogged(message.step, outcome))
            case "step lost":
                self.apply_trigger(StepLost(message.step, message.operation))
            case "pivot ran":
                self.merge(message.step, StepState.DONE)
                self.apply_trigger(PivotRan())
            case "pivot fenced":
                self.merge(message.step, StepState.UNDONE)
            case "complete":
                self.complete(message.replies)
            case "compensated":
                self.apply_trigger(Compensated(message.chain[message.at].incomplete))
            case "operator":
                verbs: list[Trigger] = [Retry(), Resume()]
                for verb in reversed(verbs) if message.operation == "resumes" else verbs:
                    if self.status is Status.PARKED:  # the first verb was ignored
                        self.apply_trigger(verb)

    def complete(self, replies: int) -> None:
        for name, position in self.positions.items():
            if replies >> position & 1 and self.log[name] is not StepState.DONE:
                self.merge(name, StepState.DONE)
        if self.status not in ENDED:
            self.apply_trigger(Completed())

    def cancel(self) -> None:
        self.apply_trigger(CancelRequested())

    def pass_deadline(self) -> None:
        """The deadline is now."""
        if self.status is Status.RUNNING:
            self.deadline = self.due = self.broker.now
            self.own_deadline = self.deadline - self.held_for

    def merge(self, step: str, outcome: StepState) -> bool:
        """Raise the log of a step."""
        known = self.log[step]
        if not self.engine.rises(known, outcome):
            return False
        if outcome.rank < known.rank:
            raise Violation(f"the saga log forgot that {step} was {known}")
        self.log[step], self.last_event_at = outcome, self.broker.now
        return True

    def apply_trigger(self, trigger: Trigger) -> None:
        """Let the machine decide, and carry the decision out."""
        now, before = self.broker.now, self.status
        patient_until = self.since + TIMES.compensation_timeout
        view = View(before, self.log, now >= self.deadline, now >= patient_until)
        decision = self.engine.decide(self.saga, view, trigger)
        is_late = now - self.held_for >= self.own_deadline
        if isinstance(trigger, WatchdogFired) and decision.status is Status.STOPPING and not is_late:
            raise Violation("the saga was stopped for the time for which an operator held it")
        if decision.status and decision.status is not before:
            self.enter_status(decision.status)
        if decision.send:
            self.send_chain(decision.send)
            self.due = self.next_check_at()
        elif decision.soon:
            self.due = min(self.due or now, now + TIMES.soon_after(self.drives))

    def enter_status(self, status: Status) -> None:
        if status not in TRANSITIONS[self.status]:
            raise Violation(f"the saga was {self.status} and became {status}")
        self.free()
        self.status, self.since, self.drives = status, self.broker.now, 0
        self.due = self.next_check_at() if status in OPEN else None
        if status is Status.PARKED:
            self.call_operator()

    def mark(self, *, held: bool) -> None:
        """Mark the saga as held or free, as engine/holding.py does: undos pass, and so does the end of a chain."""
        goes_on = self.status in (Status.RUNNING, Status.FORWARD)
        waits = goes_on and any(known is not StepState.DONE for known in self.log.values())
        if held and waits:
            if self.held_since is None:
                self.held_since = self.broker.now
            self.due = None
        elif self.held_since is not None:
            self.free()
            self.due = self.next_check_at() if self.status in OPEN else None

    def free(self) -> None:
        """Give the saga back the time for which it was held."""
        if self.held_since is not None:
            held = self.broker.now - self.held_since
            given = self.engine.gives_back(held)
            self.deadline, self.since = self.deadline + given, min(self.since + given, self.broker.now)
            self.held_since, self.held_for = None, self.held_for + held
            if self.deadline > self.own_deadline + self.held_for:
                raise Violation("the deadline moved by more than the saga was held")

    def next_check_at(self) -> float:
        now = self.broker.now
        silent_until = now + TIMES.silence_between(self.drives)
        return scheduling.next_check_at(
            self.status, now=now, silent_until=silent_until, deadline=self.deadline
        )

    def schedule_check(self) -> None:
        if self.status in OPEN:
            now = self.broker.now
            self.due = scheduling.earlier_check(self.due, now=now, soon=now + TIMES.soon_after(self.drives))

    def send_chain(self, send: Send) -> None:
        chain = self.engine.planned(self.saga, send)
        done = StepState.DONE
        known = sum(1 << n for name, n in self.positions.items() if self.log[name] is done)
        replies = known if isinstance(send, Drive) else 0
        link = chain[0]
        message = Message(link.operation, link.step, "", chain, 0, replies, ASKED, known=known)
        self.broker.send_from_outbox(message)

    def run_watchdog(self, *, early: bool = False) -> str:
        """The watchdog checks the saga; return what it did."""
        now = self.broker.now
        if self.status not in OPEN:
            return "nothing to do"
        heard_lately = not early and now - self.last_event_at < TIMES.silence_timeout
        if scheduling.is_moving(self.status, heard_lately=heard_lately, now=now, deadline=self.deadline):
            self.due = min(now + TIMES.silence_timeout, self.deadline)
            return "it is moving"
        self.drives += 1
        self.apply_trigger(WatchdogFired())
        return f"driven: the saga is {self.status}"

    def call_operator(self) -> None:
        """An operator finds the parked saga, and may have repaired what kept failing."""
        self.parkings += 1
        if self.parkings > 1 or self.operator == "stays parked":
            return
        self.repaired = "repaired" in self.operator
        self.broker.enqueue(
            Message("operator", "", "resumes" if "resumed" in self.operator else "retries"), SOON
        )
