"""The Celery app of a bare service: plain Celery on kombu's own transport, with queues of its own."""

from __future__ import annotations

from typing import Any

from celery import Celery
from celery.canvas import Signature
from celery.worker.consumer import Consumer
from django.conf import settings
from kombu import Exchange, Queue

from celery_config.app import UnconfirmedEvents
from celery_config.broker.topology import DELIVERY_LIMIT
from celery_config.common import codec
from celery_config.common.services import SERVICES

EXCHANGE = Exchange("bare", type="direct", durable=True, no_declare=True)
QUEUES = [
    Queue(
        f"bare.{service}",
        EXCHANGE,
        routing_key=service,
        no_declare=True,
        queue_arguments={"x-queue-type": "quorum", "x-delivery-limit": DELIVERY_LIMIT},
    )
    for service in SERVICES
]


class BareConsumer(Consumer):
    """Celery's own, without the step that declares queues for delayed delivery: nothing here is delayed."""

    class Blueprint(Consumer.Blueprint):
        default_steps = [
            step for step in Consumer.Blueprint.default_steps if not step.endswith(":DelayedDelivery")
        ]


codec.register()
app = Celery("bare", events=UnconfirmedEvents, set_as_current=True)
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.update(
    # The services' own transport reads one message for each event of the loop, and only their own consumer reads the
    # rest. Celery's consumer would wait.
    broker_transport="kombu.transport.pyamqp:Transport",
    task_queues=QUEUES,
    task_default_queue=f"bare.{settings.SERVICE}",
    task_default_exchange=EXCHANGE.name,
    worker_consumer=f"{__name__}:BareConsumer",
    control_exchange=f"bare.{settings.SERVICE}.control",
)


def make_link(task: str, **kwargs: Any) -> Signature:
    """Return a link of a chain, with an explicit route.

    Args:
        task: its name, LOAD.SERVICE.ACTION.
        kwargs: the task's arguments.
    """
    route = {"exchange": EXCHANGE.name, "routing_key": task.split(".")[1], "mandatory": True}
    return app.signature(task, kwargs=kwargs, options=route)
