"""The barrier's SQL: who inserts a step's row owns the step; others read its outcome (rule 5, the barrier).

`INSERT … ON CONFLICT DO NOTHING RETURNING` in READ COMMITTED: a twin waits for the first one's commit
(at most the connection's `lock_timeout`) and then reads the stored row. `bulk_create(ignore_conflicts=True)`
would not say which rows it inserted, and a plain INSERT would abort the transaction. Rows are inserted and locked in
the order of their keys, so that two batches never wait for each other in a circle (rule 10, locks and retries).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from celery_config.db import bulk
from celery_config.db.functions import Now
from celery_config.failpoints.points import Point, reach
from celery_config.messaging.barrier.decisions import Row
from celery_config.messaging.models import BarrierRow
from celery_config.messaging.states import Action, Undo

INSERTED = ("key", "saga", "step", "command", "command_hash", "action", "undo", "request", "request_id")
MOST_SAGAS = 100
"""Of how many sagas a reader may ask for the rows at once."""


@dataclass(slots=True)
class NewRow:
    """A row that is not in the database yet: what a `BarrierRow` is, without the cost of a model's instance.

    Args:
        key: the command id of the step's action.
    """

    key: UUID
    saga: UUID
    step: str
    command: str
    action: str
    command_hash: str = ""
    undo: str = Undo.NONE
    request: Any = None
    request_id: str = ""
    reply: Any = None
    note: str = ""
    created_at: Any = None
    updated_at: Any = None


AnyRow = BarrierRow | NewRow


def insert_statement(rows: Iterable[AnyRow]) -> list[bulk.Statement]:
    """Inserts new rows; it fails where one exists already."""
    return bulk.insert_statement(BarrierRow, sort_by_key(rows), (*INSERTED, "reply"))


def sort_by_key(rows: Iterable[AnyRow]) -> list[AnyRow]:
    return sorted(rows, key=lambda row: row.key)


def claim_rows(rows: Sequence[AnyRow]) -> dict[UUID, BarrierRow]:
    """Insert the rows; return those that were there already, by key, locked until the transaction ends."""
    made = set(bulk.insert_new(BarrierRow, sort_by_key(rows), INSERTED, returning="key"))
    if made:
        reach(Point.BARRIER_INSERTED)
    there = [row.key for row in rows if row.key not in made]
    return lock_rows(there) if there else {}


def known_keys(keys: Iterable[UUID]) -> set[UUID]:
    """Those of the keys that have a row."""
    return set(BarrierRow.objects.filter(key__in=list(keys)).values_list("key", flat=True))


def lock_rows(keys: Collection[UUID]) -> dict[UUID, BarrierRow]:
    """Return the rows by key, locked until the transaction ends."""
    found = BarrierRow.objects.select_for_update().filter(key__in=keys).order_by("key")
    return {row.key: row for row in found}


def update_statement(rows: Iterable[AnyRow], *fields: str) -> list[bulk.Statement]:
    """Writes these fields of rows that are locked in this transaction."""
    changed = list(rows)
    for row in changed:
        row.updated_at = Now()
    return bulk.update_statement(BarrierRow, changed, [*fields, "updated_at"])


def pure_row(row: AnyRow) -> Row:
    """The row as the pure decisions see it."""
    return Row(Action(row.action), Undo(row.undo), row.command_hash)


def stored_refusal(row: AnyRow) -> dict[str, Any]:
    """The refusal of the step by its name, if it was refused: what the stop chain carries back to the orchestrator."""
    return {row.step: row.reply} if row.action == Action.REFUSED and row.reply else {}
