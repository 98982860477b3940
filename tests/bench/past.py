"""Orders that ended long ago: copies of the rows of real orders, with earlier times."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg import sql
from rich.progress import Progress

from celery_config.common.services import SERVICES
from compose.local.stack import Stack
from tests.bench.measure import Run
from tests.bench.system import run_ours

PAST = timedelta(days=60)
Connection = psycopg.Connection[tuple[Any, ...]]

# Copied rows refer to each other as the real ones do: a new id or time depends only on the old one and on the number of
# the copy, in every table and database. An id that contains a time contains the new time.
FUNCTIONS = """
CREATE OR REPLACE FUNCTION {schema}.move_time(at timestamptz, copy integer) RETURNS timestamptz
LANGUAGE sql STABLE AS $$
    SELECT {began}::timestamptz - copy * {each}::interval + (at - {began}::timestamptz) * {stretch}::float8
$$;
CREATE OR REPLACE FUNCTION {schema}.copy_id(id uuid, copy integer) RETURNS uuid
LANGUAGE sql STABLE AS $$
    SELECT (CASE WHEN substr(id::text, 15, 1) = '7' THEN lpad(to_hex((1000 * extract(epoch FROM {schema}.move_time(
        to_timestamp(('x0000' || left(id::text, 8) || substr(id::text, 10, 4))::bit(64)::bigint / 1000.0), copy
    )))::bigint), 12, '0') || '7' ELSE left(md5(id::text || copy), 12) || '4' END
    || substr(md5(id::text || copy), 14, 3) || '8' || right(md5(id::text || copy), 15))::uuid
$$
"""
TABLES = "SELECT relname FROM pg_stat_user_tables WHERE schemaname = 'public' ORDER BY relname"
KEEP = "CREATE TABLE {kept} AS SELECT * FROM public.{table} WHERE xmin::text::bigint >= {since}"
# The database gives new numbers to the rows. The transaction of an event is the one that makes the copy: it must not be
# one that is still to come.
COLUMNS = """
SELECT attname, format_type(atttypid, NULL), EXISTS (
    SELECT FROM pg_index WHERE indrelid = attrelid AND indisunique AND indkey::text = attnum::text
) FROM pg_attribute
WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped AND attidentity = '' AND attname <> 'transaction'
"""
IS_UUID = "SELECT bool_and({column} ~ '^[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}$') FROM {kept}"
NEW_VALUES = {
    "timestamp with time zone": "{schema}.move_time({column}, %(copy)s)",
    "uuid": "{schema}.copy_id({column}, %(copy)s)",
    "text that is a uuid": "{schema}.copy_id({column}::uuid, %(copy)s)::text",
    "unique text": "CASE WHEN {column} <> '' THEN {column} || '-' || %(copy)s ELSE '' END",
}


class Past:
    """The rows that orders write in one database, from the moment in which this is made.

    Args:
        url: of the database, for its superuser, who copies rows table by table without checks of references.
        name: of the schema that keeps the rows to copy.
        began: that moment, the same for all databases.
    """

    def __init__(self, url: str, name: str, began: datetime) -> None:
        self.url = url
        self.name = name
        self.began = self.ended = began
        self.orders = self.copies = 0
        self.statements: dict[str, sql.Composed] = {}
        """By table: the statement that makes one copy of its rows."""
        self.rows: dict[str, float] = {}
        """By table: how many rows an order writes."""
        with self.connect() as connection:
            (self.since,) = fetch_row(connection, "SELECT pg_current_xact_id()::text::bigint")

    def keep_rows(self, orders: int, ended: datetime) -> None:
        """Keep the rows of every table that has one or more for each of so many orders, which ended by then."""
        self.orders, self.ended = orders, ended
        with self.connect() as connection:
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(self.name)))
            self.define_functions(connection, 1)
            for (table,) in connection.execute(TABLES).fetchall():
                names = {"table": sql.Identifier(table), "kept": sql.Identifier(self.name, table)}
                connection.execute(sql.SQL(KEEP).format(since=sql.Literal(self.since), **names))
                (count,) = fetch_row(connection, sql.SQL("SELECT count(*) FROM {kept}").format(**names))
                if count >= orders:
                    self.statements[table] = self.make_statement(connection, table)
                    self.rows[table] = count / orders

    def clear_tables(self) -> None:
        """Empty the tables in which orders write rows."""
        with self.connect() as connection:
            connection.execute(sql.SQL("TRUNCATE {} CASCADE").format(self.list_tables()))
        self.copies = 0

    def add_copies(self, orders: int, progress: Callable[[int], None] = lambda _: None) -> None:
        """Add so many finished orders, the oldest first, all older than those that were added before."""
        copies = max(1, orders // self.orders)
        with self.connect() as connection:
            self.define_functions(connection, copies)
            for copy in range(self.copies + copies, self.copies, -1):
                for statement in self.statements.values():
                    connection.execute(statement, {"copy": copy}, prepare=True)
                progress(self.orders)
            self.copies += copies
            connection.execute(sql.SQL("VACUUM (ANALYZE) {}").format(self.list_tables()))
            connection.execute("CHECKPOINT")

    def list_tables(self) -> sql.Composed:
        return sql.SQL(", ").join(sql.Identifier("public", table) for table in self.statements)

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("SET session_replication_role = replica")
            connection.execute("SET synchronous_commit = off")
            yield connection

    def define_functions(self, connection: Connection, copies: int) -> None:
        """Define the new times and ids for so many copies, which follow each other without a gap."""
        each = PAST / copies
        connection.execute(
            sql.SQL(FUNCTIONS).format(
                schema=sql.Identifier(self.name),
                began=sql.Literal(self.began),
                each=sql.Literal(each),
                stretch=sql.Literal(each / (self.ended - self.began)),
            )
        )

    def make_statement(self, connection: Connection, table: str) -> sql.Composed:
        """Return the statement that makes one copy of the kept rows of a table."""
        columns, values = [], []
        for name, kind, is_unique in connection.execute(COLUMNS, [f"public.{table}"]).fetchall():
            column, kept = sql.Identifier(name), sql.Identifier(self.name, table)
            if kind in ("text", "character varying"):
                (is_uuid,) = fetch_row(connection, sql.SQL(IS_UUID).format(column=column, kept=kept))
                kind = "text that is a uuid" if is_uuid else "unique text" if is_unique else kind
            new = NEW_VALUES.get(kind, "{column}")
            columns.append(column)
            values.append(sql.SQL(new).format(column=column, schema=sql.Identifier(self.name)))
        return sql.SQL("INSERT INTO public.{table} ({columns}) SELECT {values} FROM {kept}").format(
            table=sql.Identifier(table),
            kept=sql.Identifier(self.name, table),
            columns=sql.SQL(", ").join(columns),
            values=sql.SQL(", ").join(values),
        )


def fetch_row(connection: Connection, query: str | sql.Composed) -> tuple[Any, ...]:
    """Return the only row of an answer."""
    (found,) = connection.execute(query).fetchall()
    return found


def make_pasts(stack: Stack, progress: Progress, side: str, orders: int) -> tuple[list[Past], Run]:
    """Run some orders to their ends; return their rows in each database, and the figures of the run."""
    assert stack.postgres is not None
    began = datetime.now(UTC)
    pasts = [Past(stack.postgres.superuser_url(service), side, began) for service in SERVICES]
    run = run_ours(stack, progress, f"{side}, to copy", orders, side=side)
    ended = datetime.now(UTC)
    for past in pasts:
        past.keep_rows(orders, ended)
    return pasts, run


def fill_pasts(pasts: Sequence[Past], orders: int, progress: Progress) -> None:
    """Add so many finished orders to the tables of all services."""
    bar = progress.add_task(f"{orders:,} into the past", total=orders * len(pasts))
    with ThreadPoolExecutor(len(pasts)) as pool:
        list(pool.map(lambda past: past.add_copies(orders, lambda n: progress.advance(bar, n)), pasts))
