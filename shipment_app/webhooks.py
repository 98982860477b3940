"""Webhook events of the carrier, as outcomes of our own steps."""

from __future__ import annotations

from uuid import UUID

from celery_config.contracts.base import encode
from celery_config.contracts.shipment import BookShipment, CancelShipment, DispatchShipment
from celery_config.messaging.barrier.webhooks import OutcomeNotification
from shipment_app.carriers import CarrierEvent


def describe_outcome(event: CarrierEvent, key: UUID) -> OutcomeNotification | None:
    """The outcome that an event reports of the call with this key; None when its order is not known."""
    order = event.order
    if order is None:
        return None
    about = (event.id, event.kind, key)
    shipment = {"order": str(order), "carrier_id": event.booked.carrier_id}
    match event.operation:
        case "book":
            answer = event.refused or encode(event.booked)
            facts = {"order": str(order), "weight_grams": event.weight_grams, "parcels": event.parcels}
            return OutcomeNotification(*about, BookShipment, order, facts, answer)
        case "dispatch":
            return OutcomeNotification(*about, DispatchShipment, order, shipment)
        case "cancel":
            undo = CancelShipment(order=order)
            return OutcomeNotification(*about, BookShipment, order, shipment, undo=undo)
