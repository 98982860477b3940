"""`./manage.py order notifier`"""

from __future__ import annotations

import signal
import threading
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from celery_config.common import metrics, process
from celery_config.db import functions, limits
from celery_config.notifications import notifier
from celery_config.notifications.environment import follow_environment


class Command(BaseCommand):
    help = "Tell people what stands, by e-mail and webhooks, and when it is over. Several may run at once."

    def add_arguments(self, parser: CommandParser) -> None:
        metrics.add_port(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        metrics.serve(metrics.NOTIFIER, options["metrics_port"])
        process.tune_gc()
        functions.force_index_plans()
        limits.limit_statements(settings.STATEMENT_SECONDS)
        follow_environment()
        self.stdout.write(f"{settings.SERVICE} notifier ready")
        self.stdout.flush()
        notifier.run(stop.wait)
