"""What a poll of the board costs, and what the sums cost the relay: `python -m tests.bench.board [--sagas N]`.

It starts a PostgreSQL of its own and fills the order service's database with ended sagas and choreographed orders of
the last week, and some that are under way or parked. It prints the CPU time of each part, Python's and the database
server's, the time of a look that sums up, and of an end with and without the index of the sums.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from celery_config.common.services import SERVICES
from compose.local.postgres import PostgresServer
from tests.bench.service import set_up_django

POLLS = 30
FILL = """
INSERT INTO order_customer (id, name, email, version, updated_at, currency)
    VALUES (gen_random_uuid(), 'Ada', '', 1, now(), 'EUR');
INSERT INTO saga_sagaclock (id, now, ticked_at, stands_for) VALUES (1, now(), now(), '') ON CONFLICT DO NOTHING;
CREATE TEMP TABLE filled AS
SELECT gen_random_uuid() AS id, gen_random_uuid() AS saga, n % 20 = 0 AS danced,
    now() - n * interval '7 days' / {sagas} AS at,
    CASE WHEN n <= {open} THEN (ARRAY['running', 'running', 'running', 'stopping', 'forward', 'parked'])[1 + n % 6]
        WHEN n % 10 = 0 THEN 'compensated' ELSE 'completed' END AS status,
    (ARRAY['out_of_stock', 'card_declined', 'address_unreachable'])[1 + n % 3] AS code,
    interval '0.4 s' + random() * interval '2 s' AS took
FROM generate_series(1, {sagas}) AS n;
INSERT INTO order_order (id, customer_id, status, currency, total, weight_grams, address, saga, tracking_number,
    cancel_code, cancel_reason, reference, created_at, ended_at)
SELECT id, (SELECT id FROM order_customer LIMIT 1),
    CASE status WHEN 'completed' THEN 'confirmed' WHEN 'compensated' THEN 'cancelled' ELSE 'placed' END,
    'EUR', 1785, 100, '{{}}', CASE WHEN danced THEN NULL ELSE saga END, '',
    CASE status WHEN 'compensated' THEN code ELSE '' END, '', '', at - took,
    CASE WHEN status IN ('completed', 'compensated') THEN at END
FROM filled ORDER BY at;
INSERT INTO saga_sagainstance (id, name, version, subject, data, status, cause, attempt, drives, deadline_at, since,
    due_at, owner, fingerprint, answer_by, started_at, ended_at)
SELECT saga, 'place-order', 1, id::text, '{{"amount": 1785, "currency": "EUR"}}', status,
    CASE status WHEN 'compensated' THEN jsonb_build_object('code', code) ELSE '{{}}' END, 0, 0,
    at + interval '15 minutes', at, CASE WHEN status IN ('running', 'stopping', 'forward') THEN at END,
    CASE status WHEN 'parked' THEN 'operations' ELSE '' END,
    CASE status WHEN 'parked' THEN 'place-order: ' || code ELSE '' END,
    CASE status WHEN 'parked' THEN at + interval '4 hours' END, at - took,
    CASE WHEN status IN ('completed', 'compensated') THEN at END
FROM filled WHERE NOT danced ORDER BY at;
INSERT INTO saga_sagastep (saga_id, name, position, kind, command, logged, updated_at)
SELECT saga, step.name, step.position, step.kind, step.command, 'done', at - took + took * step.position / 6
FROM filled, (VALUES ('authorize-payment', 1, 'compensatable', 'payment.authorize_payment'),
    ('reserve-stock', 2, 'compensatable', 'inventory.reserve_stock'),
    ('book-shipment', 3, 'compensatable', 'shipment.book_shipment'),
    ('capture-payment', 4, 'pivot', 'payment.capture_payment'),
    ('commit-stock', 5, 'retriable', 'inventory.commit_stock'),
    ('dispatch-shipment', 6, 'retriable', 'shipment.dispatch_shipment')) AS step (name, position, kind, command)
WHERE NOT danced AND (at > now() - interval '1 day' OR status = 'parked')
    AND (status = 'completed' OR step.position = 1);
INSERT INTO order_choreography (order_id, status, cause, attempt, drives, deadline_at, since, due_at, owner,
    fingerprint, placed, failure)
SELECT id, status, '{{}}', 0, 0, at + interval '15 minutes', at,
    CASE WHEN status IN ('running', 'stopping', 'forward') THEN at END, '', '',
    '{{"amount": 1785, "currency": "EUR"}}', '{{}}'
FROM filled WHERE danced;
"""
END = """
UPDATE saga_sagainstance SET status = 'completed', ended_at = statement_timestamp(), due_at = NULL
WHERE id = ANY(%s)
"""


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.board", description=__doc__)
    parser.add_argument("--sagas", type=int, default=1_000_000)
    parser.add_argument("--open", type=int, default=600, help="of the sagas, how many have not ended")
    options = parser.parse_args(argv)
    console = Console()
    with tempfile.TemporaryDirectory(prefix="board-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        server = PostgresServer(folder / "pg", [*SERVICES], for_tests=True, log=folder / "pg.log")
        server.wipe()
        server.start()
        try:
            os.environ["ORDER_DATABASE_URL"] = server.url("order")
            os.environ["ORDER_SAGA_VAR"] = str(folder / "var")
            set_up_django("order")
            measure(console, options)
        finally:
            server.stop()
            server.wipe()
    return 0


def measure(console: Console, options: argparse.Namespace) -> None:
    from django.conf import settings
    from django.core.management import call_command
    from django.db import connection

    call_command("migrate", verbosity=0)
    began = time.monotonic()
    with connection.cursor() as cursor:
        cursor.execute(FILL.format(sagas=options.sagas, open=options.open))
        cursor.execute("VACUUM ANALYZE")
    console.print(f"filled in {time.monotonic() - began:.0f} s")
    table = Table("what", "queries", "Python, ms", "PostgreSQL, ms", box=MARKDOWN)
    measure_sums(table)
    for part in settings.BOARD:
        measure_part(table, part)
    for part in ("last_hour", "day", "week"):
        measure_part(table, "outcomes", span=part)
    measure_index(table)
    console.print(table)


def measure_sums(table: Table) -> None:
    from celery_config.saga.sums import writing

    add_row(table, "first look: a week", writing.sum_up)
    add_row(table, "second look: what became final", writing.sum_up)
    add_row(table, "a look", writing.sum_up, times=5)


def measure_part(table: Table, part: str, **query: str) -> None:
    from django.contrib.auth.models import User
    from django.test import Client
    from django.urls import reverse

    client = Client(headers={"host": "127.0.0.1"})
    user, _ = User.objects.get_or_create(username="ada", is_staff=True, is_superuser=True)
    client.force_login(user)
    url = reverse("admin:board", args=[part])
    add_row(
        table, f"poll of {part} {' '.join(query.values())}".strip(), lambda: client.get(url, query), POLLS
    )


def measure_index(table: Table) -> None:
    """End open sagas a hundred at a time, with the index of the sums and without."""
    from django.db import connection

    for what in ("with the index", "without the index"):
        with connection.cursor() as cursor:
            if what.startswith("without"):
                cursor.execute("DROP INDEX saga_by_end")
            cursor.execute(
                "SELECT id FROM saga_sagainstance WHERE status = 'completed' ORDER BY started_at LIMIT 20000"
            )
            ids = [row[0] for row in cursor.fetchall()]
            cursor.execute(
                "UPDATE saga_sagainstance SET status = 'running', ended_at = NULL, due_at = now() WHERE id = ANY(%s)",
                [ids],
            )
            cursor.execute("VACUUM ANALYZE saga_sagainstance")

            def end(ids: list[Any] = ids) -> None:
                for first in range(0, len(ids), 100):
                    cursor.execute(END, [ids[first : first + 100]])

            add_row(table, f"20,000 ends, {what}", end)


def add_row(table: Table, what: str, run: Callable[[], Any], times: int = 1) -> None:
    """Run it so many times after a first time, if it is more than one, and add what one cost."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    queries = "—"
    if times > 1:
        with CaptureQueriesContext(connection) as asked:
            run()
        queries = str(len(asked.captured_queries))
    own, server = time.process_time(), read_server_seconds()
    for _ in range(times):
        run()
    own, server = time.process_time() - own, read_server_seconds() - server
    table.add_row(what, queries, f"{1000 * own / times:.1f}", f"{1000 * server / times:.1f}")


def read_server_seconds() -> float:
    """CPU seconds that the database's process for this connection has used."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        ((pid,),) = cursor.fetchall()
    user, system = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
