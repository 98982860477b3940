"""Flower over the workers of all four services: `./manage.py flower [Flower's own options]`.

It only looks. Its broker user may read task events and nothing else, so what Flower would do through Celery's
remote control is switched off here instead of failing at the broker. Its settings are in
compose/flower/flowerconfig.py; Flower's own variables (FLOWER_ADDRESS, FLOWER_PORT, …) and options win.
"""

from __future__ import annotations

import os
import sys
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import flower.urls
from celery import Celery
from celery.app.control import Control, Inspect
from celery.events.event import event_exchange
from flower.views import BaseHandler
from flower.views.workers import WorkerView
from tornado import web

from celery_config.broker import topology

CONFIGURATION = Path(__file__).resolve().parents[1] / "flower" / "flowerconfig.py"


class NothingInspected(Inspect):
    """Asks no worker anything: what Flower shows of workers and tasks comes from their events."""

    def _request(self, command: str, **arguments: Any) -> dict[str, Any]:  # type: ignore[override]
        return {}


class NoRemoteControl(Control):
    """Remote control that controls nothing: whoever may write to a control exchange can shut workers down."""

    def broadcast(self, *args: Any, **kwargs: Any) -> None:
        """Send nothing."""

    @cached_property
    def inspect(self) -> type[Inspect]:
        inspect: type[Inspect] = self.app.subclass_with_self(NothingInspected, reverse="control.inspect")
        return inspect


class TasksOfWorker(BaseHandler):  # type: ignore[misc]
    """Leads from a worker's name to its tasks; Flower's own page of a worker is made of remote control."""

    @web.authenticated
    def get(self, name: str) -> None:
        self.redirect(f"{self.reverse_url('tasks')}?{urlencode({'worker': name})}")


def missing_settings() -> list[str]:
    """Return what the environment lacks for Flower to start."""
    missing = [] if os.environ.get("FLOWER_BROKER_URL") else ["FLOWER_BROKER_URL"]
    if not (os.environ.get("FLOWER_BASIC_AUTH") or os.environ.get("FLOWER_PASSWORD")):
        missing.append("FLOWER_PASSWORD")
    return missing


def make_app(broker_url: str) -> Celery:
    """Return a Celery app that hears the task events of all services and declares its own queue alone."""
    # Flower builds its receiver from this one object; declaring the shared exchange is the administrator's.
    event_exchange.no_declare = True
    app = Celery("flower", broker=broker_url, control=NoRemoteControl, fixups=[])
    app.conf.update(
        event_exchange=topology.TASK_EVENTS,
        event_queue_prefix=topology.TASK_EVENTS,
        # The queues on Flower's broker page; also here nothing is declared.
        task_queues=topology.kombu_queues(declare=False),
        broker_connection_retry_on_startup=True,
        timezone="UTC",
    )
    return app


def main(argv: list[str]) -> int:
    """Run Flower until it is stopped.

    Returns:
        2 when the environment lacks the broker's address or a login.
    """
    if missing := missing_settings():
        print(
            f"flower needs {' and '.join(missing)} in the environment. FLOWER_BROKER_URL is the broker's "
            f"address for the user {topology.FLOWER_USER!r}; the login is FLOWER_USER (default: admin) and "
            "FLOWER_PASSWORD, or FLOWER_BASIC_AUTH as user:password.",
            file=sys.stderr,
        )
        return 2
    for position, handler in enumerate(flower.urls.handlers):
        if getattr(handler, "handler_class", None) is WorkerView:
            flower.urls.handlers[position] = web.url(r"/worker/(.+)", TasksOfWorker, name="worker")
    make_app(os.environ["FLOWER_BROKER_URL"]).start(["flower", f"--conf={CONFIGURATION}", *argv])
    return 0
