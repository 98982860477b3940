"""Steps at a provider, as messaging/outside.py carries them out: intent, call, result (rule 8).

Between the three a worker may be overtaken by a twin, an undo or the fence, so each is a move of its own; `phase`
says which comes next.
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
    """A participant whose effect is at a provider."""

    def do(self, message: Message) -> str:
        book = self.books[message.step]
        if not book.outside:
            return super().do(message)
        if message.phase == CALL:
            return self.call(message, book, then=RESULT)
        if message.phase == RESULT:
            return self.result(message, book)
        decision = self.engine.on_action(book.row, message.contents)
        if book.needs & ~message.replies or decision not in (OnAction.RUN, OnAction.CALL_AGAIN):
            return super().do(message)
        lasting = book.lasting and not book.compensatable
        fate = self.choose(message, "at work", NEVER_SUCCEEDS if lasting else ("goes well", *LEAVES_NOTHING))
        if fate in LEAVES_NOTHING:
            return self.fail(message, fate)
        if decision is OnAction.RUN:
            book.row = Row(Action.INTENT, Undo.NONE, message.contents)
        return self.go_on(message, CALL)

    def go_on(self, message: Message, phase: str, delay: float = SOON) -> str:
        """The same worker, later."""
        message.phase = phase
        self.broker.put(message, delay)
        return phase

    def call(self, message: Message, book: ParticipantState, then: str) -> str:
        """Ask the provider with the step's key and the stored request; a known key is answered as before."""
        options = ANSWERS_OR_REFUSES if book.refusable and not book.provider else ANSWERS
        fate = self.choose(message, message.phase, options)
        if "says no" in fate:
            book.provider_refuses()
        elif "later" in fate:
            request = Message("request", book.name, phase=UNDER_WAY)
            self.broker.name(request)
            self.broker.put(request, AFTER_THE_DEADLINE if fate.startswith("gives up") else AFTER_THE_SILENCE)
        elif fate != "times out":
            book.provider_does()
        if fate.startswith("gives up"):
            self.errback(message, after=TRIES)
        elif fate.startswith(("times out", "crashes")):
            self.broker.deliver_again(message)
        else:
            message.answer = "no" if book.provider == "refused" else "done"
            self.go_on(message, then, AFTER_THE_SILENCE if fate.endswith(" late") else SOON)
        return fate

    def result(self, message: Message, book: ParticipantState) -> str:
        """Write the answer over the open intent."""
        fate = self.choose(message, message.phase, ORDINARY)
        if fate in LEAVES_NOTHING:
            return self.fail(message, fate)
        decision = self.write_result(message, book)
        too_late = decision is OnResult.TOO_LATE
        self.end(message, fate, refused=too_late or message.answer == "no")
        return f"{fate}: {decision}"

    def write_result(self, message: Message, book: ParticipantState) -> OnResult:
        assert book.row is not None
        done = message.answer == "done"
        decision = self.engine.on_result(book.row, done=done)
        if decision is OnResult.WRITE:
            if done is not book.live:
                raise Violation(f"{book.name} wrote '{message.answer}' over what had become of it meanwhile")
            action = Action.DONE if done else Action.REFUSED
            book.row = Row(action, book.row.undo, book.row.command_hash)
            self.announce(book, "done" if done else "refused")
        return decision

    def undo(self, message: Message) -> str:
        book = self.books[message.step]
        if message.phase:
            return self.undo_further(message, book)
        decision, _ = self.on_undo(book)
        if not book.outside or decision not in (OnUndo.UNDO, OnUndo.SETTLE_FIRST):
            return super().undo(message)
        cannot = self.cannot_undo(book, decision)
        fate = self.choose(message, "at work", NEVER_SUCCEEDS if cannot else ("goes well", *LEAVES_NOTHING))
        if fate in LEAVES_NOTHING:
            return self.fail(message, fate)
        assert book.row is not None
        book.row = Row(book.row.action, Undo.INTENT, book.row.command_hash)
        return self.go_on(message, UNDO if decision is OnUndo.UNDO else SETTLE)

    def undo_further(self, message: Message, book: ParticipantState) -> str:
        match message.phase:
            case "call to settle":
                return self.call(message, book, then=SETTLED)
            case "call to undo":
                return self.call_undo(message, book)
        fate = self.choose(message, message.phase, ORDINARY)
        if fate in LEAVES_NOTHING:
            return self.fail(message, fate)
        assert book.row is not None
        if book.row.undo is not Undo.DONE:
            if message.phase == SETTLED and message.answer == "done":
                if book.row.action is Action.INTENT:
                    book.row = Row(Action.DONE, book.row.undo, book.row.command_hash)
                if fate != "goes well":
                    self.broker.deliver_again(message)
                    return fate
                return self.go_on(message, UNDO)
            action = Action.REFUSED if message.phase == SETTLED else book.row.action
            self.note_undone(book, OnUndo.UNDO, Row(action, Undo.DONE, book.row.command_hash))
        return self.end(message, fate)

    def call_undo(self, message: Message, book: ParticipantState) -> str:
        fate = self.choose(message, message.phase, UNDO_ANSWERS)
        if fate != "gives up":
            book.provider_cancels()
        if fate.startswith("gives up"):
            self.errback(message, after=TRIES)
        elif fate.startswith("times out"):
            self.broker.deliver_again(message)
        else:
            self.go_on(message, UNDONE, AFTER_THE_SILENCE if fate.endswith(" late") else SOON)
        return fate

    def fence(self, message: Message) -> str:
        book = self.books[message.step]
        if message.phase == SETTLE:
            return self.call(message, book, then=SETTLED)
        if message.phase != SETTLED:
            if self.engine.on_fence(book.row) is not OnFence.SETTLE_FIRST:
                return super().fence(message)
            fate = self.choose(message, "at work", ("goes well", *LEAVES_NOTHING))
            return self.fail(message, fate) if fate in LEAVES_NOTHING else self.go_on(message, SETTLE)
        fate = self.choose(message, message.phase, ORDINARY)
        if fate in LEAVES_NOTHING:
            return self.fail(message, fate)
        self.write_result(message, book)
        assert book.row is not None
        if book.row.action is Action.DONE:
            self.report(book, "pivot ran")
            if fate != "goes well":
                self.broker.deliver_again(message)
            return fate
        self.report(book, "pivot fenced")
        return self.end(message, fate)

    def request(self, message: Message) -> str:
        """A request that timed out reaches the provider after all."""
        self.books[message.step].provider_does()
        return "reaches the provider"

    stray = do
