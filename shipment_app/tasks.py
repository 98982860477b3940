"""Shipment's commands. Their effects are at the carrier: request, call, settle (rule 8)."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from celery_config.contracts.shipment import (
    Address,
    BookShipment,
    CancelShipment,
    DispatchShipment,
    ShipmentBooked,
    ShipmentDispatched,
)
from celery_config.messages import decode, encode
from celery_config.participant import handles_outside, register_fence
from shipment_app import selectors, services
from shipment_app.carrier import carrier, ending
from shipment_app.carriers import Booked
from shipment_app.domain import ShipmentState

register_fence("shipment")


@handles_outside(BookShipment)
class Book:
    def request(self, command: BookShipment) -> dict[str, Any]:
        return encode(command)

    def call(self, key: UUID, request: dict[str, Any]) -> dict[str, Any]:
        command = decode(BookShipment, request)
        booked = carrier().book(
            key=key,
            order=command.order,
            address=command.address,
            weight_grams=command.weight_grams,
            parcels=command.parcels,
        )
        return encode(booked)

    def settle(self, request: dict[str, Any], answer: dict[str, Any]) -> ShipmentBooked:
        shipment = services.record_booking(
            order=UUID(request["order"]),
            address=decode(Address, request["address"]),
            weight_grams=request["weight_grams"],
            parcels=request["parcels"],
            booked=decode(Booked, answer),
        )
        return ShipmentBooked(shipment=shipment.id, tracking_number=shipment.tracking_number)


class End:
    """How a shipment ends at the carrier: cancelled or dispatched. Neither may be refused."""

    def request(self, command: CancelShipment | DispatchShipment) -> dict[str, Any]:
        return {"order": str(command.order), "carrier_id": selectors.carrier_id_of(command.order)}


@handles_outside(CancelShipment)
class Cancel(End):
    def call(self, key: UUID, request: dict[str, Any]) -> dict[str, Any]:
        with ending(ShipmentState.CANCELLED):
            carrier().cancel(key=key, carrier_id=request["carrier_id"])
        return {}

    def settle(self, request: dict[str, Any], answer: dict[str, Any]) -> None:
        services.record_end(order=UUID(request["order"]), state=ShipmentState.CANCELLED)


@handles_outside(DispatchShipment)
class Dispatch(End):
    def call(self, key: UUID, request: dict[str, Any]) -> dict[str, Any]:
        with ending(ShipmentState.DISPATCHED):
            carrier().dispatch(key=key, carrier_id=request["carrier_id"])
        return {}

    def settle(self, request: dict[str, Any], answer: dict[str, Any]) -> ShipmentDispatched:
        shipment = services.record_end(order=UUID(request["order"]), state=ShipmentState.DISPATCHED)
        return ShipmentDispatched(shipment=shipment)
