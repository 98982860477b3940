"""Shipment's commands. Their effects are at the carrier: request, call, settle (rule 8)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from celery_config.contracts.base import decode, encode
from celery_config.contracts.shipment import (
    Address,
    BookShipment,
    CancelShipment,
    DispatchShipment,
    ForgetRecipient,
    RecipientForgotten,
    ShipmentBooked,
    ShipmentDispatched,
)
from celery_config.participant.choreography import register
from celery_config.participant.handlers import handles_one, handles_outside, register_fence
from shipment_app import selectors, services
from shipment_app.carrier import carrier, ending
from shipment_app.carriers import Booked
from shipment_app.domain import ShipmentState
from shipment_app.erasure import DATA_MAP
from shipment_app.services import Booking
from shipment_app.subscriptions import SUBSCRIPTIONS

register_fence("shipment")
register(SUBSCRIPTIONS)
Answered = Sequence[tuple[dict[str, Any], dict[str, Any]]]


@handles_outside(BookShipment)
class Book:
    def requests(self, commands: Sequence[BookShipment]) -> list[dict[str, Any]]:
        return [encode(command) for command in commands]

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

    def settle(self, answered: Answered) -> list[ShipmentBooked]:
        shipments = services.record_bookings(
            *(
                Booking(
                    order=UUID(request["order"]),
                    address=decode(Address, request["address"]),
                    weight_grams=request["weight_grams"],
                    parcels=request["parcels"],
                    booked=decode(Booked, answer),
                )
                for request, answer in answered
            )
        )
        return [ShipmentBooked(shipment=each.id, tracking_number=each.tracking_number) for each in shipments]


class End:
    """How shipments end at the carrier: cancelled or dispatched. Neither may be refused."""

    def requests(self, commands: Sequence[CancelShipment | DispatchShipment]) -> list[dict[str, Any]]:
        orders = [command.order for command in commands]
        names = selectors.carrier_ids_of(orders)
        return [{"order": str(order), "carrier_id": name} for order, name in zip(orders, names, strict=True)]


@handles_outside(CancelShipment)
class Cancel(End):
    def call(self, key: UUID, request: dict[str, Any]) -> dict[str, Any]:
        with ending(ShipmentState.CANCELLED):
            carrier().cancel(key=key, carrier_id=request["carrier_id"])
        return {}

    def settle(self, answered: Answered) -> list[None]:
        services.record_ends(orders_of(answered), ShipmentState.CANCELLED)
        return [None for _ in answered]


@handles_outside(DispatchShipment)
class Dispatch(End):
    def call(self, key: UUID, request: dict[str, Any]) -> dict[str, Any]:
        with ending(ShipmentState.DISPATCHED):
            carrier().dispatch(key=key, carrier_id=request["carrier_id"])
        return {}

    def settle(self, answered: Answered) -> list[ShipmentDispatched]:
        shipments = services.record_ends(orders_of(answered), ShipmentState.DISPATCHED)
        return [ShipmentDispatched(shipment=shipment) for shipment in shipments]


@handles_one(ForgetRecipient)
def forget_recipient(command: ForgetRecipient) -> RecipientForgotten:
    receipt = DATA_MAP.erase(command.customer, command.about)
    return RecipientForgotten(erasure=command.erasure, rows=receipt.counts, at=receipt.at)


def orders_of(answered: Answered) -> list[UUID]:
    return [UUID(request["order"]) for request, _ in answered]
