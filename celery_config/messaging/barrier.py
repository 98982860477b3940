"""The barrier's SQL: who inserts the row owns the step; everybody else reads what became of it (rule 5).

`INSERT … ON CONFLICT DO NOTHING RETURNING` in READ COMMITTED: a twin waits for the first one's commit
(at most the connection's `lock_timeout`) and then reads the stored row. `bulk_create(ignore_conflicts=True)`
would not say whether it inserted, and a plain INSERT would abort the transaction.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import connection

from celery_config.database import Now
from celery_config.failpoints import Point, reach
from celery_config.messages import command_id
from celery_config.messaging.decisions import Action, Row, Undo
from celery_config.messaging.models import BarrierRow

COLUMNS = ("key", "saga", "step", "command", "command_hash", "action", "undo", "request")


def claim(
    saga: UUID,
    step: str,
    command: str,
    *,
    command_hash: str = "",
    action: Action,
    undo: Undo = Undo.NONE,
    request: dict[str, Any] | None = None,
) -> bool:
    """Insert the row of this step; True when this call made it, False when it was there."""
    meta = BarrierRow._meta
    values = (
        command_id(saga, step, "do"),
        saga,
        step,
        command,
        command_hash,
        action.value,
        undo.value,
        request,
    )
    fields: list[Any] = [meta.get_field(name) for name in COLUMNS]
    prepared = [
        field.get_db_prep_save(value, connection) for field, value in zip(fields, values, strict=True)
    ]
    table = connection.ops.quote_name(meta.db_table)
    names = ", ".join(connection.ops.quote_name(name) for name in COLUMNS)
    marks = ", ".join(["%s"] * len(COLUMNS))
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({names}) VALUES ({marks}) ON CONFLICT DO NOTHING RETURNING 1", prepared
        )
        made = cursor.fetchone() is not None
    if made:
        reach(Point.BARRIER_INSERTED)
    return made


def lock(saga: UUID, step: str) -> BarrierRow:
    """Return the step's row, locked until the transaction ends."""
    return BarrierRow.objects.select_for_update().get(key=command_id(saga, step, "do"))


def state(row: BarrierRow) -> Row:
    """The row as the pure decisions see it."""
    return Row(Action(row.action), Undo(row.undo), row.command_hash)


def write(saga: UUID, step: str, **fields: Any) -> None:
    """Set fields of the step's row."""
    BarrierRow.objects.filter(key=command_id(saga, step, "do")).update(updated_at=Now(), **fields)
