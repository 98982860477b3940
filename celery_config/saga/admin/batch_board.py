"""The board's part of batches: what each open one does, how far it is, and the way to its page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.http import HttpRequest
from django.utils.html import format_html

from celery_config.saga.admin.batches import label_state, tell
from celery_config.saga.admin.widgets import LINK, count_rows
from celery_config.saga.batches.models import Batch
from celery_config.saga.batches.reading import read_parts
from celery_config.saga.batches.states import BatchState
from celery_config.saga.operations.acts import title_act
from celery_config.web.board import TABLE, Section, find_list, make_table, needs
from celery_config.web.columns import format_ago, get_page_url

SHOWN = 5
FOR_A_PERSON = (BatchState.READY, BatchState.PAUSED)
"""In these states a batch waits for a person."""


@needs("batches.view_batch")
def show_batches(request: HttpRequest) -> Iterator[Section]:
    """The newest batches of which something is left; where there is none, the way to all."""
    batches = list(Batch.objects.filter(settled_at__isnull=True).order_by("-pk")[:SHOWN])
    # A link within a sentence is told from its words by more than its colour.
    every = format_html(
        '<a class="text-link in-sentence" href="{}">all batches</a>', find_list("batches_batch")
    )
    table = make_table(
        ["what", "state", "how far it is", "who", "made"],
        map(make_row, batches),
        format_html("No batch is open. See {}.", every),
    )
    title = "Open batches" if len(batches) < SHOWN else f"The {SHOWN} newest open batches"
    waits = any(batch.state in FOR_A_PERSON for batch in batches)
    yield Section(title, TABLE, table, folds=not waits)


def make_row(batch: Batch) -> list[Any]:
    parts = read_parts(batch)
    count = sum(part.count for part in parts)
    what = title_act(batch.verb, count_rows(apps.get_model(batch.kind), count))
    return [
        format_html(LINK, get_page_url(batch), what),
        label_state(batch.state),
        tell(batch, parts),
        batch.by,
        format_ago(batch.created_at),
    ]
