"""Flower, read-only, over the workers of all services: `./manage.py flower [Flower's own options]`.

Its broker user may only read task events. What Flower would do through Celery's remote control is therefore switched
off here; otherwise it would fail at the broker. Its settings are in compose/flower/flowerconfig.py; Flower's own
variables (FLOWER_ADDRESS, FLOWER_PORT, …) and options win.
"""

from __future__ import annotations

import os
import sys
from functools import cached_property, partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import flower.app
import flower.urls
from celery import Celery
from celery.app.control import Control, Inspect
from celery.events.event import event_exchange
from flower.views import BaseHandler
from flower.views.workers import WorkerView
from tornado import web
from tornado.httpserver import HTTPServer

from celery_config.broker import topology
from celery_config.common.services import SUBSCRIPTIONS
from celery_config.settings.celery import read_broker_tls
from compose.local import flower_sign_on
from compose.local.flower_logins import FailedLogins, guard
from compose.local.flower_pages import link_services

LOGIN_FAILURES = int(os.environ.get("LOGIN_FAILURES") or 5)
LOGIN_LOCK_MINUTES = float(os.environ.get("LOGIN_LOCK_MINUTES") or 15)
CLIENT_SECONDS = 60.0
MAX_BODY = 1024 * 1024
CONFIGURATION = Path(__file__).resolve().parents[1] / "flower" / "flowerconfig.py"


class NoInspection(Inspect):
    """Inspection that asks no worker: Flower learns about workers and tasks from their events."""

    def _request(self, command: str, **arguments: Any) -> dict[str, Any]:  # type: ignore[override]
        return {}


class NoRemoteControl(Control):
    """Remote control that sends nothing: a user who may write to a control exchange could shut workers down."""

    def broadcast(self, *args: Any, **kwargs: Any) -> None:
        """Send nothing."""

    @cached_property
    def inspect(self) -> type[Inspect]:
        inspect: type[Inspect] = self.app.subclass_with_self(NoInspection, reverse="control.inspect")
        return inspect


class TasksOfWorker(BaseHandler):  # type: ignore[misc]
    """The tasks of a worker in place of Flower's page of it, which needs remote control."""

    @web.authenticated
    def get(self, name: str) -> None:
        self.redirect(f"{self.reverse_url('tasks')}?{urlencode({'worker': name})}")


def missing_settings() -> list[str]:
    """Return the names of the variables that Flower needs and the environment lacks."""
    missing = [] if os.environ.get("FLOWER_BROKER_URL") else ["FLOWER_BROKER_URL"]
    if sign_on := flower_sign_on.read_options():
        return missing + flower_sign_on.list_missing(sign_on)
    if not (os.environ.get("FLOWER_BASIC_AUTH") or os.environ.get("FLOWER_PASSWORD")):
        missing.append("FLOWER_PASSWORD")
    return missing


def make_app(broker_url: str) -> Celery:
    """Return a Celery app that receives the task events of all services and declares only its own queue."""
    # Flower builds its receiver from this object; the administrator declares the shared exchange.
    event_exchange.no_declare = True
    app = Celery("flower", broker=broker_url, control=NoRemoteControl, fixups=[])
    app.conf.update(
        event_exchange=topology.TASK_EVENTS,
        event_queue_prefix=topology.TASK_EVENTS,
        # The queues on Flower's broker page; none is declared.
        task_queues=topology.Topology.load(SUBSCRIPTIONS).kombu_queues(declare=False),
        broker_use_ssl=read_broker_tls("FLOWER_BROKER_URL", broker_url),
        broker_connection_retry_on_startup=True,
        timezone="UTC",
    )
    return app


def main(argv: list[str]) -> int:
    """Run Flower until it is stopped.

    Returns:
        2 when a word is no option, or the environment lacks the broker's address or a login.
    """
    if words := [word for word in argv if not word.startswith("-")]:
        print(f"flower takes options like --port=5555 alone, and {words[0]!r} is none.", file=sys.stderr)
        return 2
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
    link_services()
    guard(BaseHandler, FailedLogins(LOGIN_FAILURES, 60 * LOGIN_LOCK_MINUTES))
    # Without limits a client that sends nothing keeps its connection for an hour.
    flower.app.HTTPServer = partial(
        HTTPServer,
        idle_connection_timeout=CLIENT_SECONDS,
        body_timeout=CLIENT_SECONDS,
        max_body_size=MAX_BODY,
    )
    make_app(os.environ["FLOWER_BROKER_URL"]).start(["--quiet", "flower", f"--conf={CONFIGURATION}", *argv])
    return 0
