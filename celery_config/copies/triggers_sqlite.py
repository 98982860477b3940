"""Triggers on SQLite: they run after the change and for one row at a time, because SQLite has no others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import models

from celery_config.broker.routes import events_route
from celery_config.contracts.base import Event
from celery_config.copies.models import FINAL_VERSION
from celery_config.copies.registry import VERSION, Publication
from celery_config.copies.trigger_events import EPOCH, cloud_event
from celery_config.db.functions import SQLITE_NOW

NEW = """
CREATE TRIGGER {table}_copies_new AFTER INSERT ON {table} BEGIN
    SELECT RAISE(ABORT, 'this key is retired and cannot be inserted again') FROM copies_tombstone
    WHERE source = '{name}' AND key = {new_key_text} AND version = {final};
    UPDATE {table} SET updated_at = {now}, version = 1 + coalesce((
        SELECT version FROM copies_tombstone WHERE source = '{name}' AND key = {new_key_text}), 0)
    WHERE {key} = NEW.{key};
    {announce}
END
"""

# It names the published columns, so that its own writes to the other two do not call it again.
CHANGED = """
CREATE TRIGGER {table}_copies_changed AFTER UPDATE OF {columns} ON {table} WHEN {differs} BEGIN
    UPDATE {table} SET updated_at = {now}, version = OLD.version + 1 WHERE {key} = NEW.{key};
    {announce}
END
"""

ANNOUNCE = """
    INSERT INTO messaging_outboxmessage (kind, name, route, payload)
    SELECT 'event', '{changed}', '{changed_route}', {changed_event} FROM {table} AS given WHERE given.{key} = NEW.{key};
"""

KEY = """
CREATE TRIGGER {table}_copies_key BEFORE UPDATE OF {key} ON {table} WHEN NEW.{key} <> OLD.{key} BEGIN
    SELECT RAISE(ABORT, 'the key of a published row never changes: delete the row and insert another one');
END
"""

BURY = """
CREATE TRIGGER {table}_copies_bury AFTER DELETE ON {table} BEGIN
    INSERT INTO copies_tombstone (source, key, version, deleted_at)
    VALUES ('{name}', {old_key_text}, OLD.version + 1, {now})
    ON CONFLICT (source, key) DO UPDATE SET version = excluded.version, deleted_at = excluded.deleted_at;
    INSERT INTO messaging_outboxmessage (kind, name, route, payload)
    SELECT 'event', '{deleted}', '{deleted_route}', {deleted_event} FROM copies_tombstone AS given
    WHERE source = '{name}' AND key = {old_key_text};
END
"""


def build_statements(publication: Publication) -> list[str]:
    """The statements that drop the old triggers and create the new ones."""
    meta: Any = publication.model._meta
    table, key = meta.db_table, meta.pk.column
    columns = {name: meta.get_field(name) for name in publication.fields}
    data = {
        publication.key: key_text("given", meta.pk),
        **{name: json_value(field) for name, field in columns.items()},
        VERSION: "given.version",
    }
    deleted = {publication.key: "given.key", VERSION: "given.version"}
    parts = {
        "table": table,
        "key": key,
        "name": publication.name,
        "now": SQLITE_NOW,
        "final": FINAL_VERSION,
        "changed": publication.changed.wire_name(),
        "deleted": publication.deleted.wire_name(),
        "changed_route": events_route(publication.changed.wire_name()),
        "deleted_route": events_route(publication.deleted.wire_name()),
        "columns": ", ".join(field.column for field in columns.values()),
        "differs": " OR ".join(f"OLD.{f.column} IS NOT NEW.{f.column}" for f in columns.values()),
        "new_key_text": key_text("NEW", meta.pk),
        "old_key_text": key_text("OLD", meta.pk),
        "changed_event": build_event(publication.changed, key_text("given", meta.pk), "updated_at", data),
        "deleted_event": build_event(publication.deleted, "given.key", "deleted_at", deleted),
    }
    announce = ANNOUNCE.format(**parts).strip()
    dropped = [f"DROP TRIGGER IF EXISTS {table}_copies_{name}" for name in ("new", "changed", "key", "bury")]
    return dropped + [each.format(**parts, announce=announce) for each in (NEW, CHANGED, KEY, BURY)]


def build_event(event: type[Event], key: str, time: str, data: Mapping[str, str]) -> str:
    """The event of the row that the statement calls `given`."""
    mark = hyphenate(f"MD5('{event.wire_name()}/' || {key} || '/' || given.version || {EPOCH})")
    at = f"replace(given.{time}, ' ', 'T') || '+00:00'"
    return cloud_event(event, "json_object", data, id=mark, subject=key, time=at, epoch=EPOCH)


def key_text(row: str, key: models.Field[Any, Any]) -> str:
    """A key as the text that other services know."""
    value = f"{row}.{key.column}"
    return hyphenate(value) if isinstance(key, models.UUIDField) else value


def json_value(field: models.Field[Any, Any]) -> str:
    """A column's value for JSON: SQLite has no booleans and no UUIDs, and stores JSON as text."""
    value = f"given.{field.column}"
    if isinstance(field, models.BooleanField):
        return f"json(CASE {value} WHEN 1 THEN 'true' WHEN 0 THEN 'false' END)"
    if isinstance(field, models.UUIDField):
        return hyphenate(value)
    return f"json({value})" if isinstance(field, models.JSONField) else value


def hyphenate(value: str) -> str:
    """32 hexadecimal digits with the hyphens of a UUID."""
    parts = ((1, 8), (9, 4), (13, 4), (17, 4), (21, 12))
    return " || '-' || ".join(f"substr({value}, {start}, {length})" for start, length in parts)
