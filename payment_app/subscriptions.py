"""The subscriptions of payment: its copy of customers, and its part in a choreographed order."""

from __future__ import annotations

from celery_config.contracts.inventory import InventoryRefused, ReserveStock
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
from celery_config.contracts.subscriptions import EventSubscription, ReactionRule, react, subscribe

SUBSCRIPTIONS: list[EventSubscription | ReactionRule] = [
    subscribe(CustomerChanged, CustomerDeleted, call="celery_config.copies.subscriber.handle_events", once=False),
    react(OrderPlaced, do=AuthorizePayment, announce=PaymentReceived, refused=PaymentFailed),
    react(
        ShipmentArranged, do=CapturePayment, after=(ReserveStock,), announce=PaymentCollected, refused=PaymentFailed
    ),
    # Payment has the pivot, so payment decides whether it is too late; only its event makes the others undo.
    react(
        PaymentFailed, InventoryRefused, ShipmentFailed, OrderWithdrawn,
        undo=AuthorizePayment, by=VoidPayment, announce=PaymentReleased,
        unless=CapturePayment, retained=PaymentRetained,
    ),
]  # fmt: skip
