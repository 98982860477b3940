"""What the carrier tells unasked, as hints about our own steps."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from celery_config.contracts.base import encode
from celery_config.contracts.shipment import BookShipment, CancelShipment, DispatchShipment
from celery_config.http.webhooks import our_key
from celery_config.messaging.barrier.webhooks import OutcomeNotification
from shipment_app.carrier import carrier
from shipment_app.carriers import CarrierEvent


def read(body: bytes, headers: Mapping[str, str]) -> OutcomeNotification | None:
    """Return what a webhook tells of one of our calls; None when it tells of none.

    Raises:
        WebhookRefused: it is not to be believed, or cannot be read.
    """
    event = carrier().event(body, headers)
    key = our_key(event.key) if event else None
    return hint(event, key, event.order) if event and key and event.order else None


def hint(event: CarrierEvent, key: UUID, order: UUID) -> OutcomeNotification:
    said = {"order": str(order)}
    shipment = said | {"carrier_id": event.booked.carrier_id}
    match event.operation:
        case "book":
            answer = event.refused or encode(event.booked)
            facts = said | {"weight_grams": event.weight_grams, "parcels": event.parcels}
            return OutcomeNotification(event.id, event.kind, key, BookShipment, order, facts, answer)
        case "dispatch":
            return OutcomeNotification(event.id, event.kind, key, DispatchShipment, order, shipment)
        case "cancel":
            undo = CancelShipment(order=order)
            return OutcomeNotification(event.id, event.kind, key, BookShipment, order, shipment, undo=undo)
