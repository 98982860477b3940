"""Simulated participants: barrier, work and event in one transaction, as messaging/barrier/steps.py does."""

from __future__ import annotations

from collections.abc import Mapping

from celery_config.common.timeouts import Timeouts
from celery_config.messaging.barrier.decisions import OnAction, OnFence, OnUndo, Row
from celery_config.messaging.states import Action, Undo
from celery_config.saga.engine.plan import Operation
from celery_config.saga.testing.broker import Broker, Message
from celery_config.saga.testing.engine import Engine
from celery_config.saga.testing.participant_state import ParticipantState, Violation
from celery_config.saga.testing.strategies import Options, Strategy

TRIES = sum(Timeouts().retry_delays)
ASKED, GARBLED = "as asked", "garbled"
LEAVES_NOTHING: Options = ("crashes before its commit", "gives up", "becomes a dead letter")
AFTER_COMMIT: Options = ("crashes after its commit", "crashes after its publish", "cannot publish")
ORDINARY: Options = ("goes well", *AFTER_COMMIT, *LEAVES_NOTHING)
MAY_REFUSE: Options = (*ORDINARY, "refuses", "refuses and crashes after its commit")
MAY_BE_REPEATED_GARBLED: Options = (*MAY_REFUSE, "is repeated with other contents")
NEVER_SUCCEEDS: Options = ("gives up", "crashes before its commit", "becomes a dead letter")


class Participants:
    """The participants of all steps; each method handles one message in one transaction."""

    def __init__(
        self, engine: Engine, broker: Broker, strategy: Strategy, states: Mapping[str, ParticipantState]
    ) -> None:
        self.engine, self.broker, self.choose, self.states = engine, broker, strategy.choose, states

    def do(self, message: Message) -> str:
        """A local action; `ExternalParticipants` continues an action at a provider."""
        state = self.states[message.step]
        if self.is_lost(message, state):
            return self.report_lost(message)
        if state.needs & ~message.replies:
            raise Violation(f"{state.name} was sent without a reply it needs")
        decision = self.engine.on_action(state.row, message.contents)
        if decision is not OnAction.RUN:
            return self.answer_repeat(message, state, decision)
        choice = self.choose(message, "at work", run_options(state))
        if choice in LEAVES_NOTHING:
            return self.fail(message, choice)
        refused = choice.startswith("refuses")
        if refused:
            state.row = Row(Action.REFUSED, Undo.NONE, message.contents)
        else:
            if state.row and state.row.action is Action.REFUSED:
                raise Violation(f"{state.name} was refused, and done nevertheless")
            state.do(message.contents)
            state.row = Row(Action.DONE, Undo.NONE, message.contents)
        self.publish_event(state, "refused" if refused else "done")
        if choice == "is repeated with other contents":
            self.broker.send(Message("stray", state.name, Operation.DO, contents=GARBLED))
        return self.finish(message, choice, refused=refused)

    def answer_repeat(self, message: Message, state: ParticipantState, decision: OnAction) -> str:
        """Answer a message whose barrier row exists from what is stored."""
        if decision is OnAction.CONFLICT:
            return self.fail(message, "becomes a dead letter")
        if decision is OnAction.REPLY_AGAIN and message.contents != state.contents:
            raise Violation(f"{state.name} answered contents that it never carried out")
        if decision is OnAction.REPLY_AGAIN and state.row and state.row.undo is Undo.DONE:
            raise Violation(f"{state.name} was undone, and answered a repeat as if it were not")
        choice = self.choose(message, "at work", ORDINARY)
        if choice in LEAVES_NOTHING:
            return self.fail(message, choice)
        self.finish(message, choice, refused=decision is not OnAction.REPLY_AGAIN)
        return f"{choice}: {decision}"

    def undo(self, message: Message) -> str:
        """A local undo (rule 7, the undo)."""
        state = self.states[message.step]
        if self.is_lost(message, state):
            return self.report_lost(message)
        decision, claimed = self.on_undo(state)
        choice = self.choose(
            message, "at work", NEVER_SUCCEEDS if self.cannot_undo(state, decision) else ORDINARY
        )
        if choice in LEAVES_NOTHING:
            return self.fail(message, choice)
        if decision is OnUndo.UNDO:
            state.undo()
        self.record_undone(state, decision, claimed)
        self.finish(message, choice)
        return f"{choice}: {decision}"

    def on_undo(self, state: ParticipantState) -> tuple[OnUndo, Row | None]:
        """The undo's decision, and the row that its transaction has written so far."""
        return self.engine.on_undo(state.row), state.row if state.row else self.engine.undo_claims

    def record_undone(self, state: ParticipantState, decision: OnUndo, claimed: Row | None) -> None:
        """The end of an undo's transaction: nothing is left to do at a provider."""
        if decision is not OnUndo.REPEAT:
            self.publish_event(state, "undone")
        state.row = claimed and Row(claimed.action, Undo.DONE, claimed.command_hash)

    def cannot_undo(self, state: ParticipantState, decision: OnUndo) -> bool:
        return state.lasting and decision in (OnUndo.UNDO, OnUndo.SETTLE_FIRST)

    def fence(self, message: Message) -> str:
        """The pivot's fence (rule 13, the fence)."""
        state = self.states[message.step]
        if self.is_lost(message, state):
            return self.report_lost(message)
        decision = self.engine.on_fence(state.row)
        choice = self.choose(message, "at work", ORDINARY)
        if choice in LEAVES_NOTHING:
            return self.fail(message, choice)
        if state.row is None:
            state.row = self.engine.fence_claims
        self.finish_fence(message, state, choice, ran=decision is OnFence.RAN)
        return f"{choice}: {decision}"

    def is_lost(self, message: Message, state: ParticipantState) -> bool:
        return self.engine.is_lost(state.row, known_done=bool(message.known >> state.position & 1))

    def report_lost(self, message: Message) -> str:
        """Report a step that is known to be done and has no row; nothing is written, and the chain ends."""
        self.broker.send(Message("step lost", message.step, message.kind))
        return "lost: the database was set back"

    def finish_fence(self, message: Message, state: ParticipantState, choice: str, *, ran: bool) -> None:
        """Report to the orchestrator; the stop chain goes on only if the pivot did not run."""
        state.never |= not ran
        self.broker.send(Message("pivot ran" if ran else "pivot fenced", state.name))
        if not ran:
            self.finish(message, choice)
        elif choice != "goes well":
            self.broker.redeliver(message)

    def publish_event(self, state: ParticipantState, outcome: str) -> None:
        self.broker.send(Message("event", state.name, outcome))

    def finish(self, message: Message, choice: str, *, refused: bool = False) -> str:
        """After the commit: send the next link or the errback, and redeliver if the ack was lost."""
        if "after its commit" not in choice:
            if refused or choice == "cannot publish":
                self.send_errback(message)
            elif message.chain:
                self.send_next_link(message)
        if "crashes" in choice:
            self.broker.redeliver(message)
        return choice

    def send_next_link(self, message: Message) -> None:
        replies = message.replies
        if message.kind == Operation.DO:
            replies |= 1 << self.states[message.step].position
        at = message.at + 1
        link = message.chain[at]
        following = Message(
            link.operation, link.step, "", message.chain, at, replies, ASKED, known=message.known
        )
        self.broker.send(following)

    def fail(self, message: Message, choice: str) -> str:
        """End a message that committed nothing."""
        if choice == "crashes before its commit":
            self.broker.redeliver(message)
        elif choice == "becomes a dead letter":
            self.broker.send(Message("dead letter", message.step, message.operation or message.kind))
        else:
            self.send_errback(message, after=TRIES)
        return choice

    def send_errback(self, message: Message, after: float = 0.0) -> None:
        """Send the errback of a link; a stray message has none."""
        if message.chain:
            self.broker.send(Message("errback", message.step, message.kind), after)


def run_options(state: ParticipantState) -> Options:
    if state.lasting and not state.compensatable:
        return NEVER_SUCCEEDS
    if state.compensatable and state.refusable:
        return MAY_BE_REPEATED_GARBLED
    return MAY_REFUSE if state.refusable else ORDINARY
