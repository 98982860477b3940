"""What the order service does on a message, besides what its sagas (celery_config/saga/tasks.py) do."""

from __future__ import annotations

from celery_config.contracts.inventory import ProductChanged
from celery_config.messaging.events import Envelope, each, subscribes
from order_project import services


@subscribes(ProductChanged, once=False)  # the version decides: a repeat changes nothing
@each
def copy_product(product: ProductChanged, envelope: Envelope) -> None:
    services.copy_product(product)
