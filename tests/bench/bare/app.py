"""The Celery app of a bare service: the service's own settings with other queues and Celery's own consumer."""

from __future__ import annotations

from celery import Celery
from celery.worker.consumer import Consumer
from django.conf import settings
from kombu import Exchange, Queue

from celery_config.app import UnconfirmedEvents
from celery_config.broker.topology import DELIVERY_LIMIT
from celery_config.common import codec
from celery_config.common.services import SERVICES
from celery_config.worker.consumer import SagaConsumer

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
    """Celery's own, less the step that would declare queues for delayed delivery."""

    Blueprint = SagaConsumer.Blueprint


codec.register()
app = Celery("bare", events=UnconfirmedEvents, set_as_current=True)
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.update(
    task_queues=QUEUES,
    task_default_queue=f"bare.{settings.SERVICE}",
    task_default_exchange=EXCHANGE.name,
    worker_consumer=f"{__name__}:BareConsumer",
    control_exchange=f"bare.{settings.SERVICE}.control",
)
