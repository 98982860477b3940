"""What relay and notifier do before they begin, as the worker does, and how they are asked to stop."""

from __future__ import annotations

import signal
import threading

from django.conf import settings
from prometheus_client import CollectorRegistry

from celery_config.common import metrics, process
from celery_config.db import functions, limits


def prepare_process(registry: CollectorRegistry, metrics_port: int) -> None:
    """Serve the metrics of a process beside the web, and tune it; call it when everything is imported."""
    metrics.serve(registry, metrics_port)
    process.tune_gc()
    functions.force_index_plans()
    limits.limit_statements(settings.STATEMENT_SECONDS)


def stop_on_signals() -> threading.Event:
    """Return what is set when somebody asks this process to stop."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop
