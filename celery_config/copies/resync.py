"""Asking the source for rows of which an event is missing: a promise in the outbox, which no crash drops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.conf import settings
from django.db import transaction
from prometheus_client import Counter

from celery_config.broker import topology
from celery_config.common import grouping
from celery_config.copies import store
from celery_config.copies.ranges import RowVersion
from celery_config.copies.readers import KEYS_PER_REQUEST
from celery_config.copies.registry import copies
from celery_config.copies.source_client import open_source
from celery_config.messaging.deliveries import Call, Delivery, Outcome
from celery_config.messaging.outbox import writing
from celery_config.messaging.tasks import Work, durable_task

RESYNC = "copies.resync"
# What was only overtaken comes within this time, in which other gaps gather, too.
DELAY_SECONDS = 2.0
RESYNCED = Counter(
    "order_saga_copy_resyncs_total",
    "Rows of a copy that were asked for since an event was missing.",
    ["copy"],
)


@dataclass(frozen=True, kw_only=True)
class Resync:
    """Rows of a copy to be asked for."""

    copy: str
    keys: tuple[str, ...]


def request_rows(copy: Any, keys: Sequence[str], delay: float = DELAY_SECONDS) -> None:
    """Promise to bring these rows up to what the source has then; a part of the transaction that missed something."""
    RESYNCED.labels(copy.name).inc(len(keys))
    for some in grouping.split_chunks(keys, KEYS_PER_REQUEST):
        message = {
            "task": RESYNC,
            "args": [],
            "kwargs": {"copy": copy.name, "keys": list(some)},
            "options": {
                **topology.commands_to(settings.SERVICE),
                **topology.shown(copy=copy.name, rows=len(some)),
            },
        }
        writing.add_task(message, saga=None, delay=delay)


def handle_resyncs(deliveries: Sequence[Delivery[Resync]]) -> list[Outcome]:
    """Each asks the source, outside any transaction; the answers are applied together."""
    return [
        Call(partial(fetch_rows, each.message), apply_answers, about=each.message.copy) for each in deliveries
    ]


def fetch_rows(message: Resync) -> list[RowVersion]:
    """
    Raises:
        PeerError: the source does not answer.
    """
    with open_source(copies[message.copy], settings.TIMES.call) as source:
        return list(source.rows_of(message.keys).values())


@transaction.atomic
def apply_answers(answered: Sequence[tuple[str, list[RowVersion]]]) -> list[Outcome]:
    for name, entries in answered:
        store.apply_rows(copies[name], entries)
    return [None for _ in answered]


# A source that stays away makes no dead letter: the relay's look at its changes finds later what is missing.
durable_task(RESYNC, Work(message=Resync, handle=handle_resyncs, exhausted="errback"), send_events=False)
