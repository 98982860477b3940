"""The writes of shipment; each call is one transaction."""

from __future__ import annotations

from uuid import UUID

import structlog
from django.db import transaction

from celery_config.contracts.shipment import Address
from celery_config.database import Now
from shipment_app.carriers import Booked
from shipment_app.domain import ShipmentState, shipment_id
from shipment_app.errors import NoShipment
from shipment_app.models import Shipment

log = structlog.get_logger(__name__)


@transaction.atomic(savepoint=False)
def record_booking(
    *, order: UUID, address: Address, weight_grams: int, parcels: int, booked: Booked
) -> Shipment:
    """Write down what the carrier has booked for an order."""
    return Shipment.objects.create(
        id=shipment_id(order),
        order=order,
        state=ShipmentState.BOOKED,
        carrier_id=booked.carrier_id,
        tracking_number=booked.tracking_number,
        name=address.name,
        line1=address.line1,
        city=address.city,
        postal_code=address.postal_code,
        country=address.country,
        weight_grams=weight_grams,
        parcels=parcels,
    )


@transaction.atomic(savepoint=False)
def record_end(*, order: UUID, state: ShipmentState) -> UUID:
    """Write down that an order's booked shipment was cancelled or dispatched; return its id.

    Raises:
        NoShipment: there is none, or it ended the other way.
    """
    ended = Shipment.objects.filter(order=order, state__in=[ShipmentState.BOOKED, state])
    if not ended.update(state=state, updated_at=Now()):
        raise NoShipment(f"order {order} has no shipment here that could be {state}")
    return shipment_id(order)
