"""`./manage.py SERVICE forget_again`"""

from __future__ import annotations

import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.utils.module_loading import import_string

from celery_config.erasure.data_map import DataMap


class Command(BaseCommand):
    help = "Blank the personal data of erased customers that the audit finds in this service; exit 1 when a row fails."

    def handle(self, *args: Any, **options: Any) -> None:
        data_map: DataMap = import_string(settings.DATA_MAP)
        done = data_map.erase_residue()
        for name, rows in sorted((+done.rows).items()):
            self.stdout.write(f"{name}: {rows} rows")
        for what in done.failed:
            self.stdout.write(f"not blanked: {what}")
        failed = f", {len(done.failed)} failed" if done.failed else ""
        self.stdout.write(f"forget_again: {done.rows.total()} rows blanked or deleted{failed}")
        if done.failed:
            sys.exit(1)
