"""Choosing the flows of a batch: by filters or by name, frozen as they are seen at this moment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from django.core.exceptions import EmptyResultSet
from django.db import connection, transaction
from django.db.models import CharField, F, QuerySet, UUIDField, Value

from celery_config.db import bulk
from celery_config.errors import OperatorRefused
from celery_config.saga.batches.counting import make_first_sums
from celery_config.saga.batches.models import Batch, BatchItem
from celery_config.saga.batches.states import ItemState
from celery_config.saga.models import DeadLetter
from celery_config.saga.operations.audit_trail import check_reason

MOST = 100_000
LETTER_OPEN = "open"
ONE_FIRST_ABOVE = 10
"""Of more than so many flows, one is tried first unless the operator says otherwise."""


class Batched(Protocol):
    """What a batch may act on: a kind of flow, or dead letters."""

    @property
    def model(self) -> Any: ...

    @property
    def verbs(self) -> Mapping[str, Any]: ...


def make_batch(
    kind: Batched,
    rows: QuerySet[Any, Any],
    verb: str,
    *,
    chosen_by: Mapping[str, Any],
    by: str,
    why: str,
    one_first: bool | None = None,
    per_minute: int | None = None,
) -> Batch:
    """Make a batch of these flows, in one transaction; the relay then makes its dry run.

    Args:
        rows: of the kind's table.
        chosen_by: what chose them, for people.
        one_first: whether one flow is tried before the others; None: of more than `ONE_FIRST_ABOVE`.
        per_minute: how many are acted on in a minute; None: any number.

    Raises:
        OperatorRefused: there is none, there are more than `MOST`, the verb is unknown, or the reason is empty.
    """
    check_reason(why)
    if verb not in kind.verbs:
        raise OperatorRefused(f"there is no verb {verb!r} here; there are {', '.join(kind.verbs)}")
    with transaction.atomic():
        batch = Batch.objects.create(
            kind=kind.model._meta.label_lower,
            verb=verb,
            chosen_by=dict(chosen_by),
            by=by,
            why=why,
            one_first=bool(one_first),
            per_minute=per_minute,
        )
        count = insert_items(batch, rows.order_by("pk")[: MOST + 1])
        if not count:
            raise OperatorRefused("nothing fits: the filters find no flow at this moment")
        if count > MOST:
            raise OperatorRefused(
                f"more than {MOST:,} flows fit; choose fewer, and make another batch for the others"
            )
        batch.sums = make_first_sums(count, ItemState.CHOSEN.value)
        if one_first is None and count > ONE_FIRST_ABOVE:
            batch.one_first = True
        batch.save(update_fields=["one_first", "sums"])
    return batch


def insert_items(batch: Batch, rows: QuerySet[Any, Any]) -> int:
    """Insert an item for each row, with one statement; return how many."""
    is_letter = rows.model is DeadLetter
    seen = {"status": Value(LETTER_OPEN, CharField()), "since": F("received_at")} if is_letter else {}
    chosen = rows.annotate(
        of_batch=Value(batch.pk, UUIDField()), item_state=Value(ItemState.CHOSEN.value, CharField()), **seen
    )
    values = chosen.values_list("of_batch", "pk", "status", "since", "item_state")
    names = ("batch", "letter" if is_letter else "flow", "seen_status", "seen_since", "state")
    try:
        sql, parameters = values.query.sql_with_params()
    except EmptyResultSet:  # Django sees that it finds nothing, such as when nothing fails any more
        return 0
    columns = ", ".join(bulk.quote_name(bulk.get_field(BatchItem, name).column) for name in names)
    table = bulk.table_name(BatchItem)
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {table} ({columns}) {sql}", parameters)
        return int(cursor.rowcount)
