"""What the shipment service listens to: its copy of addresses, and its part of a choreographed order."""

from __future__ import annotations

from celery_config.contracts.inventory import InventoryFetched, InventoryIssued
from celery_config.contracts.order import CustomerChanged, CustomerDeleted
from celery_config.contracts.payment import PaymentReleased
from celery_config.contracts.shipment import (
    BookShipment,
    CancelShipment,
    DispatchShipment,
    ShipmentArranged,
    ShipmentDeparted,
    ShipmentFailed,
    ShipmentRecalled,
)
from celery_config.contracts.subscriptions import Hearing, Reaction, hears, on

SUBSCRIPTIONS: list[Hearing | Reaction] = [
    hears(CustomerChanged, CustomerDeleted, call="celery_config.copies.subscriber.hear", once=False),
    on(InventoryFetched, do=BookShipment, announce=ShipmentArranged, refused=ShipmentFailed),
    on(InventoryIssued, do=DispatchShipment, announce=ShipmentDeparted),
    on(PaymentReleased, undo=BookShipment, by=CancelShipment, announce=ShipmentRecalled),
]
