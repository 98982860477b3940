"""Remedies: what an operator may do about dead letters. Each act is recorded, and each letter keeps what became of it.

A letter is acted on once. What is refused says why and stays as it was; the others of a call are acted on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction

from celery_config.common.grouping import group_by
from celery_config.contracts.base import encode
from celery_config.contracts.privacy import hide_quoted
from celery_config.db.functions import Now
from celery_config.errors import OperatorRefused
from celery_config.http.service_client import ServiceCallError, ServiceClient, read_answer
from celery_config.messaging import announcing
from celery_config.messaging.announcing import AskedEvent
from celery_config.messaging.outbox import writing
from celery_config.saga.dead_letters import set_aside
from celery_config.saga.dead_letters.sending import StoredLetter
from celery_config.saga.engine.flows import flows
from celery_config.saga.models import SET_ASIDE_REASON, DeadLetter, LetterAct, OperatorAction, WatchedRow
from celery_config.saga.operations import approvals, operators
from celery_config.saga.operations.audit_trail import check_reason, make_record
from celery_config.saga.operations.wording import describe_status
from celery_config.saga.states import ENDED

SECONDS = 5.0
"""That a source has to announce events again."""
NO_FLOW = "no order or other flow of ours is known for it"
ABOUT: Mapping[str, str] = {
    LetterAct.REBUILD: "The order or other flow that it belongs to is driven: what is missing is made and sent again.",
    LetterAct.SEND: "It goes out again as it was, with the same id: a service that did it already does nothing. Events"
    " are announced again by their source, to the service that refused them alone.",
    LetterAct.DISMISS: "Nothing is sent. It is counted no more, and is deleted after its time.",
}


@dataclass(frozen=True)
class Acted:
    """What was done about a letter, or why nothing was."""

    letter: DeadLetter
    refusal: str = ""
    record: OperatorAction | None = None


@dataclass(frozen=True)
class Offer:
    """An act that is possible on a letter, or why it is refused."""

    act: str
    refused: str
    about: str


@dataclass
class Remedy:
    """One act on some letters, in one transaction."""

    act: LetterAct
    by: str
    why: str
    what: str = ""
    """The batch that it is a part of."""
    rows: Mapping[Any, WatchedRow] = field(default_factory=dict)

    def apply(self, letters: Sequence[DeadLetter]) -> list[Acted]:
        """Act on each of these letters that is open; call it in a transaction that has locked them.

        A source that does not answer refuses its own letters alone.

        Raises:
            OperatorRefused: the person has acted on too many letters alone; nothing was done.
        """
        if not self.what:
            approvals.check_alone(self.act.value, by=self.by, count=len(letters))
        self.rows = find_flows(letters)
        done: list[Acted] = []
        ready: list[StoredLetter] = []
        for letter in letters:
            if refusal := find_refusal(letter, self.act, self.rows):
                done.append(Acted(letter, refusal))
            else:
                ready.append(StoredLetter(letter))
        ways: dict[str, Callable[[list[StoredLetter]], Iterable[tuple[StoredLetter, str, str]]]] = {
            LetterAct.DISMISS: lambda some: ((each, "", "dismissed") for each in some),
            LetterAct.SEND: self.send,
            LetterAct.REBUILD: self.rebuild,
        }
        if self.act != LetterAct.REBUILD:
            aside = [each.row for each in ready if each.row.reason == SET_ASIDE_REASON]
            ready = [each for each in ready if each.row.reason != SET_ASIDE_REASON]
            for some in group_by(lambda row: row.queue, aside).values():
                for row, refusal, effect in set_aside.settle(self.act.value, some, by=self.by, why=self.why):
                    done.append(Acted(row, refusal) if refusal else self.note(row, effect))
        for stored, refusal, effect in ways[self.act](ready):
            done.append(Acted(stored.row, refusal) if refusal else self.note(stored.row, effect))
        acted = [each.letter for each in done if not each.refusal]
        DeadLetter.objects.filter(pk__in=[row.pk for row in acted]).update(
            act=self.act, dealt_with_at=Now(), dealt_with_by=self.by, dealt_with_why=self.why
        )
        OperatorAction.objects.bulk_create([each.record for each in done if each.record])
        return done

    def note(self, letter: DeadLetter, effect: str) -> Acted:
        """Return what was done with its record, which is not written yet."""
        row = self.rows.get(letter.saga) if letter.saga else None
        record = make_record(
            self.act, by=self.by, why=self.why, row=row, result_text=effect,
            what=f"{name_letter(letter)}{' in ' + self.what if self.what else ''}",
        )  # fmt: skip
        return Acted(letter, record=record)

    def send(self, letters: list[StoredLetter]) -> Iterable[tuple[StoredLetter, str, str]]:
        """Promise commands in our own outbox, and have events announced again by their sources."""
        commands = [each for each in letters if not each.is_event]
        writing.add_tasks([(each.row.saga, each.make_message()) for each in commands])
        yield from ((each, "", f"sent to {each.service} again") for each in commands)
        events = [each for each in letters if each.is_event]
        for (source, receiver), some in group_by(lambda each: (each.source, each.service), events).items():
            yield from announce(source, receiver, some)

    def rebuild(self, letters: list[StoredLetter]) -> Iterable[tuple[StoredLetter, str, str]]:
        """Drive the flow of each letter, once for all letters of one flow."""
        for saga, some in group_by(lambda each: each.row.saga, letters).items():
            row, effect, refusal = self.rows[saga], "", ""
            try:
                with transaction.atomic():
                    effect = operators.perform(row, "retry", by=self.by, why=self.why, in_batch=True).effect
            except OperatorRefused as error:
                refusal = str(error)
            yield from ((each, refusal, effect) for each in some)


def name_letter(letter: DeadLetter) -> str:
    return f"dead letter {letter.pk}"


def announce(
    source: str, receiver: str, letters: Sequence[StoredLetter]
) -> Iterable[tuple[StoredLetter, str, str]]:
    """Have the events of letters announced again to the service that refused them."""
    asked = {each.row.pk: each.ask_for_events() for each in letters}
    try:
        lost = ask_source(source, receiver, [event for some in asked.values() for event in some])
    except ServiceCallError as error:
        yield from ((each, str(error), "") for each in letters)
        return
    for each in letters:
        missing = lost & {event.id for event in asked[each.row.pk]}
        refusal = f"{source} keeps its event no more" if missing else ""
        yield each, refusal, f"announced to {receiver} again by {source}"


def ask_source(source: str, receiver: str, asked: Sequence[AskedEvent]) -> set[UUID]:
    """Return the ids of the events that the source does not keep any more.

    Raises:
        ServiceCallError: it does not answer.
    """
    if source == settings.SERVICE:
        return announcing.announce_again(asked, receiver)
    lost: set[UUID] = set()
    client = ServiceClient(source, SECONDS)
    for start in range(0, len(asked), announcing.MOST_ASKED):
        some = asked[start : start + announcing.MOST_ASKED]
        body = {"receiver": receiver, "events": [encode(each) for each in some]}
        answer = client.post("/api/events/again/", body)
        lost |= read_answer(source, LostEvents, answer).lost
    return lost


@dataclass(frozen=True)
class LostEvents:
    lost: set[UUID]


def find_flows(letters: Iterable[DeadLetter]) -> dict[UUID, Any]:
    """Return the rows of the flows that letters belong to, by their ids, with one query for each kind of flow."""
    ids = {letter.saga for letter in letters if letter.saga}
    found: dict[UUID, Any] = {}
    for model in flows if ids else ():
        found |= {row.pk: row for row in model._default_manager.filter(pk__in=ids)}
    return found


def find_refusal(letter: DeadLetter, act: str, rows: Mapping[UUID, WatchedRow]) -> str:
    """Return why an act does not fit a letter; empty: it does."""
    if letter.dealt_with_at:
        done = LetterAct(letter.act).label if letter.act else "dealt with"
        return f"it was {done} already, by {letter.dealt_with_by}"
    if act == LetterAct.SEND:
        return "" if letter.reason == SET_ASIDE_REASON else hide_quoted(StoredLetter(letter).fault)
    if act == LetterAct.REBUILD:
        row = rows.get(letter.saga) if letter.saga else None
        if row is None:
            return NO_FLOW
        if row.status in ENDED:
            return f"the {row._meta.verbose_name} has ended: {describe_status(row.status)}"
    return ""


def list_offers(letter: DeadLetter) -> list[Offer]:
    """Return the acts on a letter, the one first that mends most: driving its flow makes the message again."""
    refusal = partial(find_refusal, letter, rows=find_flows([letter]))
    acts = (LetterAct.REBUILD, LetterAct.SEND, LetterAct.DISMISS)
    return [Offer(act.value, refusal(act=act.value), ABOUT[act]) for act in acts]


def act_on(letter: DeadLetter, act: str, *, by: str, why: str) -> OperatorAction:
    """Act on one letter; return the record of it.

    Raises:
        OperatorRefused: the act does not fit it, or the source of its events does not answer; nothing was changed.
    """
    check_reason(why)
    with transaction.atomic():
        locked = list(DeadLetter.objects.select_for_update().filter(pk=letter.pk))
        if not locked:
            raise OperatorRefused("it is deleted: its time is over")
        (done,) = Remedy(LetterAct(act), by, why).apply(locked)
        if done.record is None:
            raise OperatorRefused(done.refusal)
        return done.record
