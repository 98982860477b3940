"""The writes of shipment; each call is one transaction."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

import structlog
from django.db import transaction

from celery_config.contracts.shipment import Address
from celery_config.db import bulk
from celery_config.db.functions import Now
from shipment_app.carriers import Booked
from shipment_app.domain import ShipmentState, shipment_id
from shipment_app.errors import NoShipment
from shipment_app.models import Shipment

BOOKED = (
    "id", "order", "state", "carrier_id", "tracking_number", "name", "line1", "city", "postal_code", "country",
    "weight_grams", "parcels",
)  # fmt: skip
log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Booking:
    """What the carrier has booked for an order."""

    order: UUID
    address: Address
    weight_grams: int
    parcels: int
    booked: Booked


@transaction.atomic(savepoint=False)
def record_bookings(*bookings: Booking) -> list[Shipment]:
    """Write down what the carrier has booked; return the shipments, in that order."""
    shipments = [
        Shipment(
            id=shipment_id(each.order),
            order=each.order,
            state=ShipmentState.BOOKED,
            carrier_id=each.booked.carrier_id,
            tracking_number=each.booked.tracking_number,
            name=each.address.name,
            line1=each.address.line1,
            city=each.address.city,
            postal_code=each.address.postal_code,
            country=each.address.country,
            weight_grams=each.weight_grams,
            parcels=each.parcels,
        )
        for each in bookings
    ]
    bulk.insert(Shipment, shipments, BOOKED)
    return shipments


@transaction.atomic(savepoint=False)
def record_ends(orders: Collection[UUID], state: ShipmentState) -> list[UUID]:
    """Write down that orders' booked shipments were cancelled or dispatched; return their ids, in that order.

    Raises:
        NoShipment: one has none, or it ended the other way.
    """
    found = Shipment.objects.filter(order__in=list(orders), state__in=[ShipmentState.BOOKED, state])
    locked = set(found.select_for_update().order_by("id").values_list("order", flat=True))
    for order in orders:
        if order not in locked:
            raise NoShipment(f"order {order} has no shipment here that could be {state}")
    Shipment.objects.filter(order__in=list(orders)).update(state=state, updated_at=Now())
    return [shipment_id(order) for order in orders]
