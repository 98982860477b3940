"""`./manage.py SERVICE relay`"""

from __future__ import annotations

import signal
import threading
from typing import Any

from celery import current_app
from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.utils.module_loading import import_string

from celery_config.common import metrics, process, tracing
from celery_config.db import functions, limits
from celery_config.messaging.outbox import relay
from celery_config.messaging.outbox.notifier import RelayListener


class Command(BaseCommand):
    help = "Publish the outbox and run this service's periodic duties. Several may run at once."

    def add_arguments(self, parser: CommandParser) -> None:
        metrics.add_port(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        current_app.finalize()
        duties = [duty for path in settings.RELAY_DUTIES for duty in import_string(path)()]
        tracing.start_tracing(settings.SERVICE, "relay")
        metrics.serve(metrics.RELAY, options["metrics_port"])
        process.tune_gc()
        functions.force_index_plans()
        limits.limit_statements(settings.STATEMENT_SECONDS)
        self.stdout.write(f"{settings.SERVICE} relay ready")
        self.stdout.flush()
        listener = RelayListener(settings.RELAY_WAKE, settings.RELAY_POLL_SECONDS)
        relay.run(current_app._get_current_object(), duties, stop.wait, listener.wait)
