"""What the payment service listens to: its copy of customers, and its part of a choreographed order."""

from __future__ import annotations

from celery_config.contracts.inventory import InventoryRefused
from celery_config.contracts.order import CustomerChanged, CustomerDeleted, OrderPlaced, OrderWithdrawn
from celery_config.contracts.payment import (
    AuthorizePayment,
    CapturePayment,
    PaymentCollected,
    PaymentFailed,
    PaymentReceived,
    PaymentReleased,
    PaymentRetained,
    VoidPayment,
)
from celery_config.contracts.shipment import ShipmentArranged, ShipmentFailed
from celery_config.contracts.subscriptions import Hearing, Reaction, hears, on

SUBSCRIPTIONS: list[Hearing | Reaction] = [
    hears(CustomerChanged, CustomerDeleted, call="celery_config.copies.subscriber.hear", once=False),
    on(OrderPlaced, do=AuthorizePayment, announce=PaymentReceived, refused=PaymentFailed),
    on(ShipmentArranged, do=CapturePayment, announce=PaymentCollected, refused=PaymentFailed),
    # Who takes the money says whether it is too late; only its word makes the others undo their parts.
    on(
        PaymentFailed, InventoryRefused, ShipmentFailed, OrderWithdrawn,
        undo=AuthorizePayment, by=VoidPayment, announce=PaymentReleased,
        unless=CapturePayment, retained=PaymentRetained,
    ),
]  # fmt: skip
