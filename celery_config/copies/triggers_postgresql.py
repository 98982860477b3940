"""Triggers on PostgreSQL: they count versions row by row, and write the events of all rows with one statement."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from celery_config.broker.routes import events_route
from celery_config.contracts.base import Event
from celery_config.copies.registry import VERSION, Publication
from celery_config.copies.trigger_events import EPOCH, cloud_event

COUNT = """
CREATE OR REPLACE FUNCTION {table}_count() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        -- Waits for a transaction that is deleting this key: the version continues after its tombstone's.
        PERFORM FROM {table} WHERE {key} = NEW.{key} FOR KEY SHARE;
        NEW.version := 1 + coalesce((SELECT version FROM copies_tombstone
                                     WHERE source = '{name}' AND key = NEW.{key}::text), 0);
        NEW.updated_at := statement_timestamp();
    ELSIF NEW.{key} <> OLD.{key} THEN
        RAISE EXCEPTION 'the key of a published row never changes: delete the row and insert another one'
            USING ERRCODE = 'restrict_violation';
    ELSIF {differs} THEN
        NEW.version := OLD.version + 1;
        NEW.updated_at := statement_timestamp();
    ELSE
        NEW.version := OLD.version;
        NEW.updated_at := OLD.updated_at;
    END IF;
    RETURN NEW;
END $$
"""

ANNOUNCE_NEW = """
CREATE OR REPLACE FUNCTION {table}_announce_new() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM rows_after JOIN copies_tombstone AS tombstone
               ON tombstone.source = '{name}' AND tombstone.key = rows_after.{key}::text
               WHERE tombstone.version >= rows_after.version) THEN
        RAISE EXCEPTION 'another transaction has just deleted this key: try again'
            USING ERRCODE = 'serialization_failure';
    END IF;
    INSERT INTO messaging_outboxmessage (kind, name, route, payload)
    SELECT 'event', '{changed}', '{changed_route}', {changed_event} FROM rows_after ORDER BY rows_after.{key};
    RETURN NULL;
END $$
"""

ANNOUNCE_CHANGED = """
CREATE OR REPLACE FUNCTION {table}_announce_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO messaging_outboxmessage (kind, name, route, payload)
    SELECT 'event', '{changed}', '{changed_route}', {changed_event}
    FROM rows_after JOIN rows_before ON rows_before.{key} = rows_after.{key}
    WHERE rows_after.version > rows_before.version ORDER BY rows_after.{key};
    RETURN NULL;
END $$
"""

BURY = """
CREATE OR REPLACE FUNCTION {table}_{bury}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    WITH buried AS (
        INSERT INTO copies_tombstone (source, key, version, deleted_at)
        SELECT '{name}', {key}::text, version + 1, statement_timestamp() FROM {rows} ORDER BY {key}
        ON CONFLICT (source, key) DO UPDATE SET version = excluded.version, deleted_at = excluded.deleted_at
        RETURNING key, version, deleted_at AS updated_at
    )
    INSERT INTO messaging_outboxmessage (kind, name, route, payload)
    SELECT 'event', '{deleted}', '{deleted_route}', {deleted_event} FROM buried ORDER BY key;
    RETURN NULL;
END $$
"""

# The functions, and when each is called.
TRIGGERS = {
    "count": "BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW",
    "announce_new": "AFTER INSERT ON {table} REFERENCING NEW TABLE AS rows_after FOR EACH STATEMENT",
    "announce_changed": "AFTER UPDATE ON {table} REFERENCING OLD TABLE AS rows_before NEW TABLE AS rows_after"
    " FOR EACH STATEMENT",
    "bury": "AFTER DELETE ON {table} REFERENCING OLD TABLE AS rows_before FOR EACH STATEMENT",
    "bury_all": "BEFORE TRUNCATE ON {table} FOR EACH STATEMENT",
}


def build_statements(publication: Publication) -> list[str]:
    """The statements that create the functions and their triggers."""
    meta: Any = publication.model._meta
    table, key = meta.db_table, meta.pk.column
    columns = {name: meta.get_field(name).column for name in publication.fields}
    data = {publication.key: key, **columns, VERSION: VERSION}
    deleted = {publication.key: "key", VERSION: VERSION}
    parts = {
        "table": table,
        "key": key,
        "name": publication.name,
        "changed": publication.changed.wire_name(),
        "deleted": publication.deleted.wire_name(),
        "changed_route": events_route(publication.changed.wire_name()),
        "deleted_route": events_route(publication.deleted.wire_name()),
        "differs": f"({list_columns('NEW', columns)}) IS DISTINCT FROM ({list_columns('OLD', columns)})",
        "changed_event": build_event(publication.changed, "rows_after", key, data),
        "deleted_event": build_event(publication.deleted, "buried", "key", deleted),
    }
    made = [each.format(**parts) for each in (COUNT, ANNOUNCE_NEW, ANNOUNCE_CHANGED)]
    made.append(BURY.format(**parts, bury="bury", rows="rows_before"))
    made.append(BURY.format(**parts, bury="bury_all", rows=table))
    for name, when in TRIGGERS.items():
        made.append(f"DROP TRIGGER IF EXISTS copies_{name} ON {table}")
        made.append(
            f"CREATE TRIGGER copies_{name} {when.format(table=table)} EXECUTE FUNCTION {table}_{name}()"
        )
    return made


def list_columns(row: str, columns: Mapping[str, str]) -> str:
    return ", ".join(f"{row}.{column}" for column in columns.values())


def build_event(event: type[Event], rows: str, key: str, data: Mapping[str, str]) -> str:
    """The event of each row of `rows`; `data` has the column of each field."""
    values = {name: f"{rows}.{column}" for name, column in data.items()}
    # A database that was set back makes a version again, with other contents: that is another event.
    mark = f"md5('{event.wire_name()}/' || {rows}.{key} || '/' || {rows}.version || {EPOCH})::uuid"
    subject, time = f"{rows}.{key}::text", f"{rows}.updated_at"
    return cloud_event(event, "jsonb_build_object", values, id=mark, subject=subject, time=time, epoch=EPOCH)


def read_mark(cursor: Any, publication: Publication) -> str | None:
    """The mark of the triggers that the database has."""
    function = f"{publication.model._meta.db_table}_count"
    cursor.execute("SELECT obj_description(to_regproc(%s), 'pg_proc')", [function])
    mark: str | None = cursor.fetchone()[0]
    return mark


def write_mark(cursor: Any, publication: Publication, mark: str) -> None:
    cursor.execute(f"COMMENT ON FUNCTION {publication.model._meta.db_table}_count() IS '{mark}'")
