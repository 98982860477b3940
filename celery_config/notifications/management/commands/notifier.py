"""`./manage.py order notifier`"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from celery_config.common import metrics
from celery_config.messaging.background_process import prepare_process, stop_on_signals
from celery_config.notifications import notifier
from celery_config.notifications.environment import follow_environment


class Command(BaseCommand):
    help = "Tell people what stands, by e-mail and webhooks, and when it is over. Several may run at once."

    def add_arguments(self, parser: CommandParser) -> None:
        metrics.add_port(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        stop = stop_on_signals()
        prepare_process(metrics.NOTIFIER, options["metrics_port"])
        follow_environment()
        self.stdout.write(f"{settings.SERVICE} notifier ready")
        self.stdout.flush()
        notifier.run(stop.wait)
