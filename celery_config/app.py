"""Celery app of a service: our worker, our JSON codec, task events that never stall it."""

from __future__ import annotations

import os

from celery import Celery
from celery.app.events import Events
from celery.events.dispatcher import EventDispatcher
from kombu import Connection

from celery_config.broker import transport
from celery_config.common import codec
from celery_config.common.services import SERVICES
from celery_config.worker.bootsteps import DatabaseGate, FastPath, Frames, SlowStart
from celery_config.worker.time_limit import HandlerTimeLimit

BUFFERED_EVENTS = 500


class UnconfirmedDispatcher(EventDispatcher):
    """Sends worker and task events for Flower on a connection without publisher confirms.

    A pool thread that waits for a confirm would hold the dispatcher's lock, and the worker would stall.
    """

    def __init__(self, connection: Connection | None = None, **kwargs: object) -> None:
        if connection is not None and connection.transport.driver_type == "amqp":
            # Not on a clone: no heartbeats would go out on the original, and the broker would close it.
            connection.connection.confirm_publish = False
        super().__init__(connection, **{"buffer_limit": BUFFERED_EVENTS, **kwargs})
        self.exchange.no_declare = True  # the administrator has declared it (rule 27, topology)


class UnconfirmedEvents(Events):
    dispatcher_cls = UnconfirmedDispatcher


def make_celery(service: str) -> Celery:
    """Return the Celery app of a service, configured by its Django settings."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", SERVICES[service].settings_module)
    # Celery would run Django's checks whenever tasks are imported, also within such a check, and drop their messages.
    os.environ.setdefault("CELERY_SKIP_CHECKS", "1")
    codec.register()
    transport.register()
    app = Celery(service, events=UnconfirmedEvents, set_as_current=True)
    app.set_default()  # `current_app` in every thread; `set_as_current` sets it in this thread only
    app.config_from_object("django.conf:settings", namespace="CELERY")
    app.autodiscover_tasks()
    app.steps["consumer"].update({SlowStart, Frames, FastPath, DatabaseGate})
    app.steps["worker"].add(HandlerTimeLimit)
    return app
