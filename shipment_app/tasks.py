"""The handlers of shipment's commands: each effect at the carrier is made exactly once (rule 8, effects outside)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
from celery_config.errors import Refused
from celery_config.messaging.barrier.steps import OutsideStep
from celery_config.participant.choreography import register_subscriptions
from celery_config.participant.handlers import Answered, handles_one, handles_outside
from shipment_app import selectors, services
from shipment_app.carriers import Booked, carrier
from shipment_app.domain import ShipmentState, is_ended_as_wanted
from shipment_app.erasure import DATA_MAP
from shipment_app.errors import CarrierDisagrees
from shipment_app.services import Booking
from shipment_app.subscriptions import SUBSCRIPTIONS

register_subscriptions(SUBSCRIPTIONS)


@handles_outside(BookShipment)
class Book(OutsideStep):
    private = ("address",)

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

    def look_up(self, key: UUID, request: dict[str, Any]) -> dict[str, Any] | None:
        """The order's one shipment: an order that was booked before is not booked again."""
        for record in carrier().find_entries(UUID(request["order"])):
            return encode(Booked(record.carrier_id, record.tracking_number))
        return None

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


class End(OutsideStep):
    """How a shipment ends at the carrier: cancelled or dispatched. Neither may be refused."""

    state: ShipmentState

    def requests(self, commands: Sequence[CancelShipment | DispatchShipment]) -> list[dict[str, Any]]:
        orders = [command.order for command in commands]
        ids = selectors.find_carrier_ids(orders)
        return [{"order": str(order), "carrier_id": id} for order, id in zip(orders, ids, strict=True)]

    def look_up(self, key: UUID, request: dict[str, Any]) -> None:
        """Nothing: a shipment ends once, whatever the key; the carrier says that it has ended (`accept_ended`)."""

    def end_shipments(self, answered: Answered) -> list[UUID]:
        return services.end_shipments([UUID(request["order"]) for request, _ in answered], self.state)

    @contextmanager
    def accept_ended(self) -> Iterator[None]:
        """Accept a refusal that says that the shipment has already ended so.

        Raises:
            CarrierDisagrees: the carrier refuses for another reason.
        """
        try:
            yield
        except Refused as refused:
            if not is_ended_as_wanted(refused.code, self.state):
                raise CarrierDisagrees(f"to be {self.state}, but the carrier says {refused}") from refused


@handles_outside(CancelShipment)
class Cancel(End):
    state = ShipmentState.CANCELLED

    def call(self, key: UUID, request: dict[str, Any]) -> dict[str, Any]:
        with self.accept_ended():
            carrier().cancel(key=key, carrier_id=request["carrier_id"])
        return {}

    def settle(self, answered: Answered) -> list[None]:
        return [None for _ in self.end_shipments(answered)]


@handles_outside(DispatchShipment)
class Dispatch(End):
    state = ShipmentState.DISPATCHED

    def call(self, key: UUID, request: dict[str, Any]) -> dict[str, Any]:
        with self.accept_ended():
            carrier().dispatch(key=key, carrier_id=request["carrier_id"])
        return {}

    def settle(self, answered: Answered) -> list[ShipmentDispatched]:
        return [ShipmentDispatched(shipment=shipment) for shipment in self.end_shipments(answered)]


@handles_one(ForgetRecipient)
def forget_recipient(command: ForgetRecipient) -> RecipientForgotten:
    receipt = DATA_MAP.erase(command.customer, command.about)
    return RecipientForgotten(erasure=command.erasure, rows=receipt.counts, at=receipt.at)
