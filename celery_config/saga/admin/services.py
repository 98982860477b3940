"""The board's tables of services and queues, as the relay heard of them last."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from celery_config.common import labels
from celery_config.messaging.observations import read_observations
from celery_config.saga.admin.widgets import break_words, keep_on_one_line
from celery_config.saga.operations.services import (
    QUEUES_SEEN,
    SERVICES_SEEN,
    QueueDepth,
    ServiceHealth,
    list_queues,
    list_services,
)
from celery_config.web.board import SMALL_TABLE, TABLE, Section, make_table, needs, read_once
from celery_config.web.columns import EMPTY, format_ago, format_number, make_label, spell_code

SEE = "saga.view_sagainstance"


@needs(SEE)
def show_services(request: HttpRequest) -> Iterator[Section]:
    """How each service is, as the relay heard it last, and how long the queues are."""
    seen = read_once(request, read_observations)
    services = list_services(seen)
    asked = format_ago(seen[SERVICES_SEEN].at) if services else ""
    rows = [make_service_row(each) for each in services]
    headers = [labels.SERVICE, labels.MOVES, labels.DOES_NOT_MOVE, "relay", labels.COPIES, "books", "asked"]
    nothing = "Not asked yet: the relay asks every ten seconds."
    table = make_table(headers, [[*row, asked] for row in rows], nothing)
    yield Section(labels.SERVICES, TABLE, table, folds=all(each.moves for each in services))
    queues = list_queues(seen)
    if queues:
        lengths = [make_queue_row(each) for each in queues]
        title = format_html("{}, as of {}", labels.QUEUES, format_ago(seen[QUEUES_SEEN].at))
        table = {"headers": labels.QUEUE_HEADERS, "rows": lengths}
        yield Section(title, SMALL_TABLE, table, folds=all(each.consumers for each in queues))


def make_service_row(health: ServiceHealth) -> list[Any]:
    apart = ("relay", "copies", "books")
    faults = [f"{spell_code(name)}: {text}" for name, text in health.faults.items() if name not in apart]
    return [
        keep_on_one_line(health.service),
        label_moves(moves=health.moves),
        break_words("; ".join(faults)) if faults else EMPTY,
        *(describe_check(health.says.get(name, "")) for name in apart),
    ]


def label_moves(*, moves: bool) -> SafeString:
    word = labels.MOVES if moves else labels.STANDS
    return make_label(word, {labels.MOVES: "success", labels.STANDS: "danger"})


def describe_check(text: str) -> SafeString | str:
    """The figures of what is well change all the time and say nothing."""
    return "ok" if text.startswith("ok") else break_words(text) if text else EMPTY


def make_queue_row(depth: QueueDepth) -> list[Any]:
    messages = labels.NOT_KNOWN if depth.messages is None else format_number(depth.messages)
    workers = format_number(depth.consumers) if depth.consumers else make_label("none", {"none": "danger"})
    return [depth.queue, messages, workers]
