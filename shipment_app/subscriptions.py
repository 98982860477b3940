"""The subscriptions of shipment: its copy of addresses, and its part in a choreographed order."""

from __future__ import annotations

from celery_config.contracts.inventory import InventoryFetched, InventoryIssued
from celery_config.contracts.order import CustomerChanged, CustomerDeleted
from celery_config.contracts.payment import AuthorizePayment, CapturePayment, PaymentReleased
from celery_config.contracts.shipment import (
    BookShipment,
    CancelShipment,
    DispatchShipment,
    ShipmentArranged,
    ShipmentDeparted,
    ShipmentFailed,
    ShipmentRecalled,
)
from celery_config.contracts.subscriptions import EventSubscription, ReactionRule, react, subscribe

SUBSCRIPTIONS: list[EventSubscription | ReactionRule] = [
    react(
        InventoryFetched,
        do=BookShipment,
        after=(AuthorizePayment,),
        announce=ShipmentArranged,
        refused=ShipmentFailed,
    ),
    react(InventoryIssued, do=DispatchShipment, after=(CapturePayment,), announce=ShipmentDeparted),
    react(PaymentReleased, undo=BookShipment, by=CancelShipment, announce=ShipmentRecalled),
    subscribe(
        CustomerChanged, CustomerDeleted, call="celery_config.copies.subscriber.handle_events", once=False
    ),
]
