"""Makes the tables of the three steps in the database of one service: `python -m tests.bench.three.prepare SERVICE`."""

from __future__ import annotations

import sys

from tests.bench.service import set_up_django
from tests.bench.three.sql import TABLES


def main(argv: list[str]) -> int:
    (service,) = argv
    set_up_django(service)
    make_tables(service)
    return 0


def make_tables(service: str) -> None:
    """Make them as the service's tables are made: their owner is not the service's own role."""
    from django.db import connection

    from celery_config.web.management.commands.migrate import logged_in_as_owner

    with logged_in_as_owner(), connection.cursor() as cursor:
        for statement in TABLES[service]:
            cursor.execute(statement)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
