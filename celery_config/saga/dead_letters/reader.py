"""Reads the dead-letter queue: what belongs to a saga is acted on, everything is kept and shown (rule 19)."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import structlog
from celery import Celery
from django.db import transaction
from kombu import Connection
from kombu.transport import pyamqp

from celery_config.broker import topology, transport
from celery_config.broker.publisher import broker_errors, drop
from celery_config.common import metrics
from celery_config.db import bulk
from celery_config.erasure import tombstones
from celery_config.messaging import database_gate
from celery_config.saga.dead_letters.letter import Letter, text
from celery_config.saga.engine import runner
from celery_config.saga.engine.flows import flows
from celery_config.saga.engine.machine import StepFailed
from celery_config.saga.engine.saga_flow import SAGAS, SagaFacts
from celery_config.saga.engine.unit_of_work import UnitOfWork
from celery_config.saga.models import DeadLetter, SagaInstance

log = structlog.get_logger(__name__)
AT_ONCE = 200
# So long may the relay's other duties wait.
READ_FOR_SECONDS = 0.5
# Between two messages that have arrived.
LOOK_SECONDS = 0.001
COLUMNS = ("reason", "queue", "task", "task_id", "saga", "step", "operation", "fault", "headers", "body")


class DeadLetterReader:
    """Takes dead letters from the broker, many at a time, acknowledged when their rows are committed."""

    def __init__(self, app: Celery) -> None:
        self.app = app
        self.connection: Connection | None = None
        self.channel: Any = None
        self.in_hand: list[tuple[int, Letter]] = []
        """Received and not acknowledged, with their delivery tags. What the database would not take stays here."""

    def read(self) -> None:
        """Keep what has arrived, batch by batch, for about `READ_FOR_SECONDS`."""
        until = time.monotonic() + READ_FOR_SECONDS
        try:
            while self.receive() and time.monotonic() < until:
                self.keep()
        except broker_errors(self.app):
            self.close()  # its absence is told elsewhere; the letters wait there

    def receive(self) -> bool:
        """Take up to a batch of what has arrived; whether there is anything."""
        if self.connection is None:
            self.open()
        if self.channel is None:
            return False
        self.channel.connection.heartbeat_tick()
        while len(self.in_hand) < AT_ONCE and transport.drain_one(self.channel.connection, LOOK_SECONDS):
            pass
        return bool(self.in_hand)

    def keep(self) -> None:
        """All that is in hand together; where that fails each alone, so that one does not spoil the others.

        Raises:
            the database's errors: it takes nothing at present.
        """
        try:
            keep([letter for _, letter in self.in_hand])
        except Exception:
            log.exception("dead letters could not be kept together; each alone", letters=len(self.in_hand))
            while self.in_hand:
                database_gate.drop_if_unusable()
                keep_alone(self.in_hand[0][1])
                self.acknowledge(1)
        else:
            self.acknowledge(len(self.in_hand))

    def acknowledge(self, count: int) -> None:
        """The first `count` in hand, with one frame."""
        tag, _ = self.in_hand[count - 1]
        del self.in_hand[:count]
        self.channel.basic_ack(tag, multiple=True)

    def open(self) -> None:
        """Let the broker send what there is and what comes, a batch ahead of the one in hand."""
        self.connection = self.app.connection_for_read()
        if self.connection.transport.driver_type != "amqp":
            return  # the embedded broker has no dead-letter routes
        self.connection.ensure_connection(max_retries=1, timeout=5)
        self.channel = self.connection.default_channel
        self.channel.basic_qos(0, 2 * AT_ONCE, False)
        # Without waiting for an answer: a queue that has no leader gives none.
        queue = topology.DEAD_LETTERS
        self.channel.basic_consume(queue, consumer_tag=queue, callback=self.arrived, nowait=True)

    def arrived(self, raw: Any) -> None:
        message = pyamqp.Message(raw, channel=self.channel, accept={"application/json"})
        self.in_hand.append((message.delivery_tag, Letter.of(message)))

    def close(self) -> None:
        connection, self.connection, self.channel = self.connection, None, None
        self.in_hand.clear()
        if connection is not None:
            drop(connection)


def keep(letters: Sequence[Letter]) -> None:
    """Store letters and let their sagas act on them, in one transaction."""
    with transaction.atomic():
        consequences = act(letters)
        store(letters, consequences)
    tell(letters, consequences)


def keep_alone(letter: Letter) -> None:
    """Keep a letter even if its saga cannot act on it: the watchdog looks at every saga that is silent."""
    try:
        keep([letter])
    except Exception as error:
        database_gate.drop_if_unusable()
        log.exception("a saga could not be told of its dead letter", saga=str(letter.saga))
        consequences = [text(f"kept, but its saga could not be told: {error!r}")[:200]]
        store([letter], consequences)
        tell([letter], consequences)


def store(letters: Sequence[Letter], consequences: Sequence[str]) -> None:
    """Keep them; of one that tells of somebody who was forgotten only that it came."""
    told = tombstones.find_mentions([letter.body for letter in letters])
    letters = [
        replace(letter, body="", headers={}, fault="") if forgotten else letter
        for letter, forgotten in zip(letters, told, strict=True)
    ]
    kept = [
        SimpleNamespace(consequence=consequence, **{name: getattr(letter, name) for name in COLUMNS})
        for letter, consequence in zip(letters, consequences, strict=True)
    ]
    bulk.insert(DeadLetter, kept, (*COLUMNS, "consequence"))


def tell(letters: Sequence[Letter], consequences: Sequence[str]) -> None:
    """Tell the log and the metrics, when it is committed."""
    for letter, consequence in zip(letters, consequences, strict=True):
        metrics.DEAD_LETTERS.labels(letter.reason).inc()
        about = {"task": letter.task, "saga": str(letter.saga), "step": letter.step, "reason": letter.reason}
        log.error("dead letter", consequence=consequence, **about)


def act(letters: Sequence[Letter]) -> list[str]:
    """Let their sagas decide, letter by letter; return what was done about each."""
    sagas = {saga for letter in letters for saga in letter.sagas}
    found = {row.pk: row for row in SAGAS.lock(sagas)}
    work = UnitOfWork.begin(SAGAS, [*found.values()])
    checked = advance_checks(letters)
    consequences = [
        "it is looked at soon" if letter.saga in checked else take_letter(letter, found, work)
        for letter in letters
    ]
    work.write()
    return consequences


def advance_checks(letters: Sequence[Letter]) -> set[UUID]:
    """Let the watchdog look before long at what has no saga; return the ids that are known."""
    known: set[UUID] = set()
    for flow in flows.values():
        lost = {letter.saga for letter in letters if letter.saga and letter.flow == flow.event_flow != ""}
        if lost:
            known |= runner.advance_checks(flow, lost)
    return known


def take_letter(
    letter: Letter, found: Mapping[UUID, SagaInstance], work: UnitOfWork[SagaInstance, SagaFacts]
) -> str:
    """A dead action is an unknown failure, a dead undo its errback; all else only makes its sagas due."""
    if not letter.sagas:
        return "kept: it belongs to no saga"
    row = found.get(letter.saga) if letter.saga else None
    if letter.saga and row is None:
        return "kept: no such saga here"
    if row and letter.is_a_step and letter.step in work.facts.logs.get(row.pk, {}):
        reason = f"the message of {letter.step} came back: {letter.reason}"
        cause = {"step": letter.step, "code": "dead_letter", "reason": reason}
        work.take(row, StepFailed(letter.step, letter.operation), cause)
        return f"taken as the failure of {letter.step} ({letter.operation})"
    for saga in letter.sagas & found.keys():
        work.advance_check(found[saga])
    return "its saga is looked at soon" if row else "the sagas of its events are looked at soon"
