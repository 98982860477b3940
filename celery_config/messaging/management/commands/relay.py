"""`./manage.py SERVICE relay`"""

from __future__ import annotations

from typing import Any

from celery import current_app
from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.utils.module_loading import import_string

from celery_config.common import metrics, tracing
from celery_config.messaging.background_process import prepare_process, stop_on_signals
from celery_config.messaging.outbox import relay
from celery_config.messaging.outbox.notifier import RelayListener


class Command(BaseCommand):
    help = "Publish the outbox and run this service's periodic duties. Several may run at once."

    def add_arguments(self, parser: CommandParser) -> None:
        metrics.add_port(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        stop = stop_on_signals()
        current_app.finalize()
        duties = [duty for path in settings.RELAY_DUTIES for duty in import_string(path)()]
        tracing.start_tracing(settings.SERVICE, "relay")
        prepare_process(metrics.RELAY, options["metrics_port"])
        self.stdout.write(f"{settings.SERVICE} relay ready")
        self.stdout.flush()
        listener = RelayListener(settings.RELAY_WAKE, settings.RELAY_POLL_SECONDS)
        relay.run(current_app._get_current_object(), duties, stop.wait, listener.wait)
