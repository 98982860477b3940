"""The writes of the shipment service; each is one transaction, or a part of its caller's."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass
from uuid import UUID

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
    "line2", "region", "weight_grams", "parcels",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Booking:
    """The carrier booked a shipment for an order."""

    order: UUID
    address: Address
    weight_grams: int
    parcels: int
    booked: Booked


@transaction.atomic(savepoint=False)
def record_bookings(*bookings: Booking) -> list[Shipment]:
    """Insert the shipments that the carrier booked; return them in the given order."""
    shipments = [
        Shipment(
            id=shipment_id(each.order),
            order=each.order,
            state=ShipmentState.BOOKED,
            weight_grams=each.weight_grams,
            parcels=each.parcels,
            **asdict(each.booked),
            **asdict(each.address),
        )
        for each in bookings
    ]
    bulk.insert(Shipment, shipments, BOOKED)
    return shipments


@transaction.atomic(savepoint=False)
def end_shipments(orders: Collection[UUID], state: ShipmentState) -> list[UUID]:
    """Set orders' booked shipments to cancelled or dispatched; return their ids in the given order.

    Raises:
        NoShipment: an order has no shipment here, or its shipment has ended the other way.
    """
    found = Shipment.objects.filter(order__in=list(orders), state__in=[ShipmentState.BOOKED, state])
    locked = set(found.select_for_update().order_by("id").values_list("order", flat=True))
    for order in orders:
        if order not in locked:
            raise NoShipment(f"order {order} has no shipment here that can be {state}")
    Shipment.objects.filter(order__in=list(orders)).update(state=state, updated_at=Now())
    return [shipment_id(order) for order in orders]
