"""Dead-letter reader: stores every letter, and lets its saga act on it (rule 19, dead letters)."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import structlog
from celery import Celery
from django.conf import settings
from django.db import transaction
from kombu import Connection
from kombu.message import Message
from kombu.transport import pyamqp

from celery_config.broker import topology, transport
from celery_config.broker.publisher import broker_errors, drop_connection
from celery_config.common import metrics
from celery_config.common.correlation import REQUEST_ID, check_request_id, name_request
from celery_config.contracts.privacy import hide_name
from celery_config.db import bulk
from celery_config.erasure import tombstones
from celery_config.messaging import database_gate
from celery_config.saga.dead_letters.fingerprints import find_fingerprint, generalise
from celery_config.saga.dead_letters.letter import REASONS, UNKNOWN, Letter
from celery_config.saga.engine import runner
from celery_config.saga.engine.flows import flows
from celery_config.saga.engine.machine import StepFailed
from celery_config.saga.engine.saga_flow import SAGAS, SagaFacts
from celery_config.saga.engine.unit_of_work import UnitOfWork
from celery_config.saga.models import DeadLetter, LetterGroup, SagaInstance

log = structlog.get_logger(__name__)
BATCH = 200
READ_FOR_SECONDS = 0.5  # the relay's other duties wait meanwhile
POLL_SECONDS = 0.001  # the longest wait for the next message
GROUP_COLUMNS = ("fingerprint", "task", "fault", "release")
COLUMNS = ("reason", "queue", "task", "task_id", "saga", "step", "operation", "fault", "headers", "body")
metrics.prepare_labels(metrics.DEAD_LETTERS, [*REASONS, UNKNOWN, topology.UNROUTED])


class DeadLetterReader:
    """Takes dead letters from the broker in batches; acknowledges them when their rows are committed."""

    queue = topology.DEAD_LETTERS
    poll_seconds = POLL_SECONDS

    def __init__(self, app: Celery) -> None:
        self.app = app
        self.connection: Connection | None = None
        self.channel: Any = None
        self.unacknowledged: list[tuple[int, list[Letter]]] = []
        """By message, with its delivery tag. What the database cannot store at present stays here."""

    def read(self) -> None:
        """Store what has arrived, batch by batch, for about `READ_FOR_SECONDS`."""
        until = time.monotonic() + READ_FOR_SECONDS
        try:
            while self.receive() and time.monotonic() < until:
                self.process()
        except broker_errors(self.app):
            self.close()  # the watchdog reports the broker's absence; the letters wait there

    def receive(self) -> bool:
        """Take up to a batch of what has arrived; return whether there is anything."""
        if self.connection is None:
            self.open()
        if self.channel is None:
            return False
        try:
            self.channel.connection.heartbeat_tick()
            while len(self.unacknowledged) < BATCH and transport.drain_one(
                self.channel.connection, self.poll_seconds
            ):
                pass
        except Exception:  # the rest of a message may still be under way; the broker sends all of it again
            self.close()
            raise
        return bool(self.unacknowledged)

    def process(self) -> None:
        """Store the batch in one transaction; if that fails, each letter alone, so that one does not block the others.

        Raises:
            the database's errors: it stores nothing at present.
        """
        letters = [letter for _, some in self.unacknowledged for letter in some]
        try:
            process_letters(letters)
        except Exception:
            log.exception("dead letters could not be kept together; each alone", letters=len(letters))
            while self.unacknowledged:
                for letter in self.unacknowledged[0][1]:
                    database_gate.drop_if_unusable()
                    process_alone(letter)
                self.acknowledge(1)
        else:
            self.acknowledge(len(self.unacknowledged))

    def acknowledge(self, count: int) -> None:
        """Acknowledge the first `count` messages with one frame."""
        tag, _ = self.unacknowledged[count - 1]
        del self.unacknowledged[:count]
        self.channel.basic_ack(tag, multiple=True)

    def open(self) -> None:
        """Let the broker send letters, up to one batch ahead of the one in work."""
        self.connection = self.app.connection_for_read()
        if self.connection.transport.driver_type != "amqp":
            return  # the embedded broker has no dead-letter routes
        transport.connect(self.connection)
        self.channel = self.connection.default_channel
        self.channel.basic_qos(0, 2 * BATCH, False)
        # `nowait`, because a queue without a leader sends no answer.
        self.channel.basic_consume(self.queue, consumer_tag=self.queue, callback=self.arrived, nowait=True)

    def arrived(self, raw: Any) -> None:
        message = pyamqp.Message(raw, channel=self.channel, accept={"application/json"})
        self.unacknowledged.append((message.delivery_tag, self.parse(message)))

    def parse(self, message: Message) -> list[Letter]:
        """Return what is kept of a message."""
        return [Letter.parse(message)]

    def close(self) -> None:
        connection, self.connection, self.channel = self.connection, None, None
        self.unacknowledged.clear()
        if connection is not None:
            drop_connection(connection)


def process_letters(letters: Sequence[Letter]) -> None:
    """Store letters and let their sagas act on them, in one transaction."""
    with transaction.atomic():
        consequences = apply_letters(letters)
        insert_letters(letters, consequences)
    report_letters(letters, consequences)


def process_alone(letter: Letter) -> None:
    """Store a letter even if its saga cannot act on it: the watchdog checks every silent saga."""
    try:
        process_letters([letter])
    except Exception as error:
        database_gate.drop_if_unusable()
        log.exception("a saga could not be told of its dead letter", saga=str(letter.saga))
        # Not its text: it may quote the letter, and everybody who sees letters reads this.
        consequences = [f"kept, but its saga could not be told: {type(error).__name__}"]
        insert_letters([letter], consequences)
        report_letters([letter], consequences)


def insert_letters(letters: Sequence[Letter], consequences: Sequence[str]) -> None:
    """Store letters; of one that mentions an erased person, only that it came."""
    mentions = tombstones.find_mentions([letter.body for letter in letters])
    letters = [
        replace(letter, body="", headers={}, fault="") if forgotten else letter
        for letter, forgotten in zip(letters, mentions, strict=True)
    ]
    groups = [make_group(letter) for letter in letters]
    # Sorted: two readers write the same groups in one order.
    fresh = sorted({group.fingerprint: group for group in groups}.items())
    bulk.insert_new(LetterGroup, [group for _, group in fresh], GROUP_COLUMNS, returning="fingerprint")
    rows = [
        SimpleNamespace(
            consequence=consequence,
            fingerprint=group.fingerprint,
            **{name: getattr(letter, name) for name in COLUMNS},
        )
        for letter, consequence, group in zip(letters, consequences, groups, strict=True)
    ]
    # Another relay may have kept what was set aside.
    bulk.insert_new(DeadLetter, rows, (*COLUMNS, "consequence", "fingerprint"), returning="id")


def make_group(letter: Letter) -> SimpleNamespace:
    """Return the row of a letter's group."""
    task, fault = generalise(hide_name(letter.task)), generalise(letter.fault)
    return SimpleNamespace(
        fingerprint=find_fingerprint(task, fault), task=task, fault=fault, release=settings.RELEASE
    )


def report_letters(letters: Sequence[Letter], consequences: Sequence[str]) -> None:
    """Write the log and the metrics, after the commit."""
    for letter, consequence in zip(letters, consequences, strict=True):
        metrics.DEAD_LETTERS.labels(letter.reason).inc()
        about = {"task": letter.task, "saga": str(letter.saga), "step": letter.step, "reason": letter.reason}
        request = name_request(check_request_id(letter.headers.get(REQUEST_ID)))
        log.error("dead letter", consequence=consequence, **about, **request)


def apply_letters(letters: Sequence[Letter]) -> list[str]:
    """Let the sagas decide, letter by letter; return what was done about each."""
    sagas = {saga for letter in letters if not letter.is_forged for saga in letter.sagas}
    found = {row.pk: row for row in SAGAS.lock(sagas)}
    work = UnitOfWork.begin(SAGAS, [*found.values()])
    checked = advance_checks(letters)
    consequences = [
        "it is looked at soon" if letter.saga in checked else apply_letter(letter, found, work)
        for letter in letters
    ]
    work.write()
    return consequences


def advance_checks(letters: Sequence[Letter]) -> set[UUID]:
    """Make the watchdog check flows other than sagas soon; return the ids that are known."""
    known: set[UUID] = set()
    for flow in flows.values():
        sound = [letter for letter in letters if not letter.is_forged]
        lost = {letter.saga for letter in sound if letter.saga and letter.flow == flow.event_flow != ""}
        if lost:
            known |= runner.advance_checks(flow, lost)
    return known


def apply_letter(
    letter: Letter, found: Mapping[UUID, SagaInstance], work: UnitOfWork[SagaInstance, SagaFacts]
) -> str:
    """A dead action counts as a failed step, a dead undo as its errback; all else only makes its sagas due."""
    if letter.is_forged:
        return "kept: it is forged, so nothing follows from it"
    if not letter.sagas:
        return "kept: it belongs to no saga"
    row = found.get(letter.saga) if letter.saga else None
    if letter.saga and row is None:
        return "kept: no such saga here"
    if row and letter.is_step and letter.step in work.facts.logs.get(row.pk, {}):
        reason = f"the message of {letter.step} came back: {letter.reason}"
        cause = {"step": letter.step, "code": "dead_letter", "reason": reason}
        work.apply_trigger(row, StepFailed(letter.step, letter.operation), cause)
        return f"taken as the failure of {letter.step} ({letter.operation})"
    for saga in letter.sagas & found.keys():
        work.advance_check(found[saga])
    return "its saga is looked at soon" if row else "the sagas of its events are looked at soon"
