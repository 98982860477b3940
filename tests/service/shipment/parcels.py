"""What the shipment tests send."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

from celery_config.contracts.shipment import Address, BookShipment, CancelShipment, DispatchShipment
from shipment_app.carriers import ShipmentRecord, carrier
from shipment_app.domain import shipment_id
from shipment_app.models import Shipment

ADDRESS = {"name": "Ada", "line1": "1 Mill Lane", "city": "York", "postal_code": "YO1 7HH", "country": "GB"}


def book(order: UUID | None = None, *, weight_grams: int = 900, **address: str) -> BookShipment:
    return BookShipment(
        order=order or uuid4(), address=Address(**(ADDRESS | address)), weight_grams=weight_grams, parcels=2
    )


def cancel(order: UUID) -> CancelShipment:
    return CancelShipment(order=order)


def dispatch(order: UUID) -> DispatchShipment:
    return DispatchShipment(order=order, shipment=shipment_id(order))


def ours(order: UUID) -> str | None:
    """The state in our rows."""
    return Shipment.objects.filter(order=order).values_list("state", flat=True).first()


def theirs(order: UUID) -> list[str]:
    """The states in the carrier's books."""
    entries: list[ShipmentRecord] = carrier().find_entries(order)
    return [entry.state for entry in entries]


def carrier_call(process: Any, order: UUID, end: str) -> None:
    """End a shipment at the carrier behind our back."""
    carrier_id = Shipment.objects.get(order=order).carrier_id
    getattr(carrier(), end)(key=uuid4(), carrier_id=carrier_id)
