"""The participants' side of a simulation: barrier, work and event in one transaction, as messaging/steps.py does."""

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
    """Every step's participant; each call is one message, and one transaction of it."""

    def __init__(
        self, engine: Engine, broker: Broker, choices: Strategy, books: Mapping[str, ParticipantState]
    ) -> None:
        self.engine, self.broker, self.choose, self.books = engine, broker, choices.choose, books

    def do(self, message: Message) -> str:
        """A local action; an action outside goes on in `Outside`."""
        book = self.books[message.step]
        if book.needs & ~message.replies:
            raise Violation(f"{book.name} was sent without a reply it needs")
        decision = self.engine.on_action(book.row, message.contents)
        if decision is not OnAction.RUN:
            return self.repeat(message, book, decision)
        fate = self.choose(message, "at work", run_options(book))
        if fate in LEAVES_NOTHING:
            return self.fail(message, fate)
        refused = fate.startswith("refuses")
        if refused:
            book.row = Row(Action.REFUSED, Undo.NONE, message.contents)
        else:
            if book.row and book.row.action is Action.REFUSED:
                raise Violation(f"{book.name} was refused, and done nevertheless")
            book.do(message.contents)
            book.row = Row(Action.DONE, Undo.NONE, message.contents)
        self.announce(book, "refused" if refused else "done")
        if fate == "is repeated with other contents":
            self.broker.send(Message("stray", book.name, Operation.DO, contents=GARBLED))
        return self.end(message, fate, refused=refused)

    def repeat(self, message: Message, book: ParticipantState, decision: OnAction) -> str:
        """A message whose row is there: answered from what is stored."""
        if decision is OnAction.CONFLICT:
            return self.fail(message, "becomes a dead letter")
        if decision is OnAction.REPLY_AGAIN and message.contents != book.contents:
            raise Violation(f"{book.name} answered contents that it never carried out")
        if decision is OnAction.REPLY_AGAIN and book.row and book.row.undo is Undo.DONE:
            raise Violation(f"{book.name} was undone, and answered a repeat as if it were not")
        fate = self.choose(message, "at work", ORDINARY)
        if fate in LEAVES_NOTHING:
            return self.fail(message, fate)
        self.end(message, fate, refused=decision is not OnAction.REPLY_AGAIN)
        return f"{fate}: {decision}"

    def undo(self, message: Message) -> str:
        """A local undo (rule 7)."""
        book = self.books[message.step]
        decision, claimed = self.on_undo(book)
        fate = self.choose(
            message, "at work", NEVER_SUCCEEDS if self.cannot_undo(book, decision) else ORDINARY
        )
        if fate in LEAVES_NOTHING:
            return self.fail(message, fate)
        if decision is OnUndo.UNDO:
            book.undo()
        self.note_undone(book, decision, claimed)
        self.end(message, fate)
        return f"{fate}: {decision}"

    def on_undo(self, book: ParticipantState) -> tuple[OnUndo, Row | None]:
        """What the undo does, and the row as its transaction leaves it so far."""
        return self.engine.on_undo(book.row), book.row if book.row else self.engine.undo_claims

    def note_undone(self, book: ParticipantState, decision: OnUndo, claimed: Row | None) -> None:
        """The rest of an undo's transaction when nothing outside is left to be done."""
        if decision is not OnUndo.REPEAT:
            self.announce(book, "undone")
        book.row = claimed and Row(claimed.action, Undo.DONE, claimed.command_hash)

    def cannot_undo(self, book: ParticipantState, decision: OnUndo) -> bool:
        return book.lasting and decision in (OnUndo.UNDO, OnUndo.SETTLE_FIRST)

    def fence(self, message: Message) -> str:
        """The pivot's fence (rule 13)."""
        book = self.books[message.step]
        decision = self.engine.on_fence(book.row)
        fate = self.choose(message, "at work", ORDINARY)
        if fate in LEAVES_NOTHING:
            return self.fail(message, fate)
        if book.row is None:
            book.row = self.engine.fence_claims
        if decision is OnFence.RAN:
            self.report(book, "pivot ran")
            if fate != "goes well":
                self.broker.deliver_again(message)
            return f"{fate}: {decision}"
        self.report(book, "pivot fenced")
        self.end(message, fate)
        return f"{fate}: {decision}"

    def report(self, book: ParticipantState, word: str) -> None:
        """The fence's word."""
        book.never |= word == "pivot fenced"
        self.broker.send(Message(word, book.name))

    def announce(self, book: ParticipantState, outcome: str) -> None:
        self.broker.send(Message("event", book.name, outcome))

    def end(self, message: Message, fate: str, *, refused: bool = False) -> str:
        """What comes after the commit: the next link or the errback, and once more if the ack was missed."""
        if "after its commit" not in fate:
            if refused or fate == "cannot publish":
                self.errback(message)
            elif message.chain:
                self.next_link(message)
        if "crashes" in fate:
            self.broker.deliver_again(message)
        return fate

    def next_link(self, message: Message) -> None:
        replies = message.replies
        if message.kind == Operation.DO:
            replies |= 1 << self.books[message.step].position
        at = message.at + 1
        link = message.chain[at]
        kind = link.operation
        self.broker.send(Message(kind, link.step, "", message.chain, at, replies, ASKED))

    def fail(self, message: Message, fate: str) -> str:
        """Nothing was committed."""
        if fate == "crashes before its commit":
            self.broker.deliver_again(message)
        elif fate == "becomes a dead letter":
            self.broker.send(Message("dead letter", message.step, message.operation or message.kind))
        else:
            self.errback(message, after=TRIES)
        return fate

    def errback(self, message: Message, after: float = 0.0) -> None:
        """Only a link has one; a stray message does not."""
        if message.chain:
            self.broker.send(Message("errback", message.step, message.kind), after)


def run_options(book: ParticipantState) -> Options:
    if book.lasting and not book.compensatable:
        return NEVER_SUCCEEDS
    if book.compensatable and book.refusable:
        return MAY_BE_REPEATED_GARBLED
    return MAY_REFUSE if book.refusable else ORDINARY
