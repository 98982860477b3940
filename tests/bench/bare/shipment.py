"""The bare shipment service."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from celery_config.contracts.base import decode
from celery_config.contracts.shipment import Address
from shipment_app import selectors, services
from shipment_app.carriers import carrier
from shipment_app.domain import ShipmentState
from tests.bench.bare.app import app


@app.task(name="bare.shipment.book")
def book_shipment(
    replies: dict[str, Any], *, order: str, address: dict[str, str], weight_grams: int, parcels: int
) -> dict[str, Any]:
    destination = decode(Address, address)
    booked = carrier().book(
        key=f"{order}/book",
        order=UUID(order),
        address=destination,
        weight_grams=weight_grams,
        parcels=parcels,
    )
    (shipment,) = services.record_bookings(
        services.Booking(
            order=UUID(order), address=destination, weight_grams=weight_grams, parcels=parcels, booked=booked
        )
    )
    return replies | {"shipment": str(shipment.id), "tracking_number": shipment.tracking_number}


@app.task(name="bare.shipment.dispatch")
def dispatch_shipment(replies: dict[str, Any], *, order: str) -> dict[str, Any]:
    (carrier_id,) = selectors.find_carrier_ids([UUID(order)])
    carrier().dispatch(key=f"{order}/dispatch", carrier_id=carrier_id)
    services.end_shipments([UUID(order)], ShipmentState.DISPATCHED)
    return replies | {"dispatched": True}
