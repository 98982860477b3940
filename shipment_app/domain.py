"""The rules of a shipment. Pure."""

from __future__ import annotations

from enum import StrEnum
from uuid import NAMESPACE_URL, UUID, uuid5

SHIPMENT_IDS = uuid5(NAMESPACE_URL, "order-saga:shipment")


class ShipmentState(StrEnum):
    BOOKED = "booked"
    CANCELLED = "cancelled"
    DISPATCHED = "dispatched"


# The carrier's codes for "it has already ended so". After our own earlier call, that is what we wanted.
ENDED = {
    "already_cancelled": ShipmentState.CANCELLED,
    "already_dispatched": ShipmentState.DISPATCHED,
}


def shipment_id(order: UUID) -> UUID:
    """The id of an order's one shipment; it follows from the order."""
    return uuid5(SHIPMENT_IDS, str(order))


def is_ended_as_wanted(code: str, wanted: ShipmentState) -> bool:
    """Whether the code of the carrier's refusal says that the shipment is already in the wanted state."""
    return ENDED.get(code) is wanted
