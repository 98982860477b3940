"""The resync reads rows from the source when an event is missing. Its task is in the outbox, so no crash loses it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from django.conf import settings
from django.db import transaction
from prometheus_client import Counter

from celery_config.broker import topology
from celery_config.common import grouping, metrics
from celery_config.copies import store
from celery_config.copies.ranges import RowVersion
from celery_config.copies.readers import KEYS_PER_REQUEST
from celery_config.copies.registry import Copy, copies
from celery_config.copies.source_client import open_source
from celery_config.messaging.deliveries import Call, Delivery, Outcome
from celery_config.messaging.outbox import writing
from celery_config.messaging.tasks import Work, durable_task

RESYNC = "copies.resync"
# An event that another one has overtaken arrives within this time, and other gaps join the same task.
DELAY_SECONDS = 2.0
RESYNCED = Counter(
    "order_saga_copy_resyncs_total",
    "Rows of a copy that were asked for since an event was missing.",
    ["copy"],
    registry=metrics.Registries(metrics.WORKER, metrics.RELAY),
)


@metrics.prepare_at_start
def prepare_metrics() -> None:
    metrics.prepare_labels(RESYNCED, copies)


@dataclass(frozen=True, kw_only=True)
class Resync:
    """The message of the task: rows of a copy to read from its source."""

    copy: str
    keys: tuple[str, ...]


def request_rows(copy: Copy, keys: Sequence[str], delay: float = DELAY_SECONDS) -> None:
    """Add tasks to the outbox that read these rows; call it in the transaction that found the gap.

    Args:
        delay: seconds until the tasks are published.
    """
    RESYNCED.labels(copy.name).inc(len(keys))
    for some in grouping.split_chunks(keys, KEYS_PER_REQUEST):
        shown = topology.flower_options(copy=copy.name, rows=len(some))
        message = {
            "task": RESYNC,
            "args": [],
            "kwargs": {"copy": copy.name, "keys": list(some)},
            "options": {**topology.route_task(settings.SERVICE, RESYNC, urgent=False), **shown},
        }
        writing.add_task(message, saga=None, delay=delay)


def handle_resyncs(deliveries: Sequence[Delivery[Resync]]) -> list[Outcome]:
    """Each delivery calls its source outside a transaction; one transaction applies all answers."""
    return [
        Call(partial(fetch_rows, each.message), apply_answers, about=each.message.copy) for each in deliveries
    ]


def fetch_rows(message: Resync) -> list[RowVersion]:
    """
    Raises:
        ServiceCallError: the source does not answer.
    """
    source = open_source(copies[message.copy], settings.TIMES.call)
    return list(source.read_keys(message.keys).values())


@transaction.atomic
def apply_answers(answers: Sequence[tuple[str, list[RowVersion]]]) -> list[Outcome]:
    for name, rows in answers:
        store.apply_rows(copies[name], rows)
    return [None for _ in answers]


# A source that does not answer causes no dead letter: the relay's next look at its changes finds what is missing.
durable_task(RESYNC, Work(message=Resync, handle=handle_resyncs, exhausted="errback"), send_events=False)
