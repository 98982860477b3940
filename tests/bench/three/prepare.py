"""Makes the tables of the comparison in one service's database: `python -m tests.bench.three.prepare SERVICE`."""

from __future__ import annotations

import importlib
import os
import sys

from celery_config.common.services import SERVICES
from tests.bench.three.sql import TABLES


def main(argv: list[str]) -> int:
    (service,) = argv
    os.environ["DJANGO_SETTINGS_MODULE"] = SERVICES[service].settings_module
    importlib.import_module("django").setup()
    make_tables(service)
    return 0


def make_tables(service: str) -> None:
    """With the service's own role, so that it owns them."""
    from django.db import connection

    with connection.cursor() as cursor:
        for statement in TABLES[service]:
            cursor.execute(statement)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
