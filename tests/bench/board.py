"""What a poll of the board costs, and what the sums cost the relay: `python -m tests.bench.board [--sagas N]`.

It starts a PostgreSQL of its own and fills the order service's database with ended sagas and choreographed orders of
the last week, and some that are under way or parked. It prints the CPU time of each part, Python's and the database
server's, the time of a look that sums up, and of an end with and without the index of the sums.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any

from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from tests.bench.filled import FILL, fill_order, measure_cost, serve_order

POLLS = 30
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
    with serve_order() as server:
        seconds = fill_order(server, FILL, sagas=options.sagas, open=options.open)
        console.print(f"filled in {seconds:.0f} s")
        measure(console)
    return 0


def measure(console: Console) -> None:
    from django.conf import settings

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
    cost = measure_cost(lambda: [run() for _ in range(times)])
    table.add_row(what, queries, f"{cost.own / times:.1f}", f"{cost.server / times:.1f}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
