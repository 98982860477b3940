"""`./manage.py SERVICE forget_again`"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.utils.module_loading import import_string

from celery_config.erasure.data_map import DataMap


class Command(BaseCommand):
    help = "Blank the personal data of erased customers that the audit finds in this service."

    def handle(self, *args: Any, **options: Any) -> None:
        data_map: DataMap = import_string(settings.DATA_MAP)
        found = data_map.erase_residue()
        for name, rows in sorted(found.items()):
            self.stdout.write(f"{name}: {rows} rows")
        self.stdout.write(f"forget_again: {sum(found.values())} rows blanked or deleted")
