"""Simulated steps at a provider: intent, call and result (rule 8, effects outside), as messaging/barrier has them.

A twin, an undo or the fence may overtake a worker between the three, so each is a move; `phase` is the next one.
"""

from __future__ import annotations

from celery_config.messaging.barrier.decisions import OnAction, OnFence, OnResult, OnUndo, Row
from celery_config.messaging.states import Action, Undo
from celery_config.saga.testing.broker import AFTER_THE_DEADLINE, AFTER_THE_SILENCE, SOON, Message
from celery_config.saga.testing.participant_state import ParticipantState, Violation
from celery_config.saga.testing.participants import (
    LEAVES_NOTHING,
    NEVER_SUCCEEDS,
    ORDINARY,
    TRIES,
    Participants,
)
from celery_config.saga.testing.strategies import Options

PHASES = CALL, RESULT, SETTLE, SETTLED, UNDO, UNDONE = (
    "call", "result", "call to settle", "settled", "call to undo", "undone",
)  # fmt: skip
UNDER_WAY = "under way"
ANSWERS: Options = (
    "answers", "answers late", "times out, having done it", "times out, doing it later", "times out",
    "gives up, having done it", "gives up, doing it later", "crashes, having done it",
)  # fmt: skip
ANSWERS_OR_REFUSES: Options = (*ANSWERS, "says no", "says no late")
UNDO_ANSWERS: Options = (
    "answers",
    "answers late",
    "times out, having done it",
    "gives up, having done it",
    "gives up",
)


class ExternalParticipants(Participants):
    """Participants whose effect may be at a provider."""

    def do(self, message: Message) -> str:
        state = self.states[message.step]
        if not state.outside:
            return super().do(message)
        if message.phase == CALL:
            return self.call_provider(message, state, then=RESULT)
        if message.phase == RESULT:
            return self.handle_result(message, state)
        decision = self.engine.on_action(state.row, message.contents)
        if self.is_lost(message, state):
            return self.report_lost(message)
        if state.needs & ~message.replies or decision not in (OnAction.RUN, OnAction.CALL_AGAIN):
            return super().do(message)
        lasting = state.lasting and not state.compensatable
        choice = self.choose(
            message, "at work", NEVER_SUCCEEDS if lasting else ("goes well", *LEAVES_NOTHING)
        )
        if choice in LEAVES_NOTHING:
            return self.fail(message, choice)
        if decision is OnAction.RUN:
            state.row = Row(Action.INTENT, Undo.NONE, message.contents)
        return self.continue_later(message, CALL)

    def continue_later(self, message: Message, phase: str, delay: float = SOON) -> str:
        """Continue the same worker later."""
        message.phase = phase
        self.broker.enqueue(message, delay)
        return phase

    def call_provider(self, message: Message, state: ParticipantState, then: str) -> str:
        """Call the provider with the step's key and the stored request; it answers a known key as before."""
        options = ANSWERS_OR_REFUSES if state.refusable and not state.provider else ANSWERS
        choice = self.choose(message, message.phase, options)
        if "says no" in choice:
            state.provider_refuses()
        elif "later" in choice:
            request = Message("request", state.name, phase=UNDER_WAY)
            self.broker.name(request)
            delay = AFTER_THE_DEADLINE if choice.startswith("gives up") else AFTER_THE_SILENCE
            self.broker.enqueue(request, delay)
        elif choice != "times out":
            state.provider_does()
        message.answer = "no" if state.provider == "refused" else "done"
        return self.conclude_call(message, choice, then)

    def conclude_call(self, message: Message, choice: str, then: str) -> str:
        """Go on with the provider's answer, or without one."""
        if choice.startswith("gives up"):
            self.send_errback(message, after=TRIES)
        elif choice.startswith(("times out", "crashes")):
            self.broker.redeliver(message)
        else:
            self.continue_later(message, then, AFTER_THE_SILENCE if choice.endswith(" late") else SOON)
        return choice

    def handle_result(self, message: Message, state: ParticipantState) -> str:
        """Write the provider's answer over the open intent."""
        choice = self.choose(message, message.phase, ORDINARY)
        if choice in LEAVES_NOTHING:
            return self.fail(message, choice)
        decision = self.write_result(message, state)
        too_late = decision is OnResult.TOO_LATE
        self.finish(message, choice, refused=too_late or message.answer == "no")
        return f"{choice}: {decision}"

    def write_result(self, message: Message, state: ParticipantState) -> OnResult:
        assert state.row is not None
        done = message.answer == "done"
        decision = self.engine.on_result(state.row, done=done)
        if decision is OnResult.WRITE:
            if done is not state.live:
                raise Violation(f"{state.name} wrote '{message.answer}' although its provider says otherwise")
            action = Action.DONE if done else Action.REFUSED
            state.row = Row(action, state.row.undo, state.row.command_hash)
            self.publish_event(state, "done" if done else "refused")
        return decision

    def undo(self, message: Message) -> str:
        state = self.states[message.step]
        if message.phase:
            return self.continue_undo(message, state)
        decision, _ = self.on_undo(state)
        if (
            self.is_lost(message, state)
            or not state.outside
            or decision not in (OnUndo.UNDO, OnUndo.SETTLE_FIRST)
        ):
            return super().undo(message)
        cannot = self.cannot_undo(state, decision)
        choice = self.choose(message, "at work", NEVER_SUCCEEDS if cannot else ("goes well", *LEAVES_NOTHING))
        if choice in LEAVES_NOTHING:
            return self.fail(message, choice)
        assert state.row is not None
        state.row = Row(state.row.action, Undo.INTENT, state.row.command_hash)
        return self.continue_later(message, UNDO if decision is OnUndo.UNDO else SETTLE)

    def continue_undo(self, message: Message, state: ParticipantState) -> str:
        match message.phase:
            case "call to settle":
                return self.call_provider(message, state, then=SETTLED)
            case "call to undo":
                return self.call_undo(message, state)
        choice = self.choose(message, message.phase, ORDINARY)
        if choice in LEAVES_NOTHING:
            return self.fail(message, choice)
        assert state.row is not None
        if state.row.undo is not Undo.DONE:
            if message.phase == SETTLED and message.answer == "done":
                if state.row.action is Action.INTENT:
                    state.row = Row(Action.DONE, state.row.undo, state.row.command_hash)
                if choice != "goes well":
                    self.broker.redeliver(message)
                    return choice
                return self.continue_later(message, UNDO)
            action = Action.REFUSED if message.phase == SETTLED else state.row.action
            self.record_undone(state, OnUndo.UNDO, Row(action, Undo.DONE, state.row.command_hash))
        return self.finish(message, choice)

    def call_undo(self, message: Message, state: ParticipantState) -> str:
        choice = self.choose(message, message.phase, UNDO_ANSWERS)
        if choice != "gives up":
            state.provider_cancels()
        return self.conclude_call(message, choice, UNDONE)

    def fence(self, message: Message) -> str:
        state = self.states[message.step]
        if message.phase == SETTLE:
            return self.call_provider(message, state, then=SETTLED)
        if message.phase != SETTLED:
            lost = self.is_lost(message, state)
            if lost or self.engine.on_fence(state.row) is not OnFence.SETTLE_FIRST:
                return super().fence(message)
            choice = self.choose(message, "at work", ("goes well", *LEAVES_NOTHING))
            if choice in LEAVES_NOTHING:
                return self.fail(message, choice)
            return self.continue_later(message, SETTLE)
        choice = self.choose(message, message.phase, ORDINARY)
        if choice in LEAVES_NOTHING:
            return self.fail(message, choice)
        self.write_result(message, state)
        assert state.row is not None
        self.finish_fence(message, state, choice, ran=state.row.action is Action.DONE)
        return choice

    def request(self, message: Message) -> str:
        """A request that timed out reaches the provider late."""
        self.states[message.step].provider_does()
        return "reaches the provider"

    stray = do
