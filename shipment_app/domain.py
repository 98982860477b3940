"""What a shipment may do. Pure."""

from __future__ import annotations

from enum import StrEnum
from uuid import NAMESPACE_URL, UUID, uuid5

SHIPMENT_IDS = uuid5(NAMESPACE_URL, "order-saga:shipment")


class ShipmentState(StrEnum):
    BOOKED = "booked"
    CANCELLED = "cancelled"
    DISPATCHED = "dispatched"


# The carrier's word for "it has ended so already"; after our own earlier call, that is what we wanted.
ENDED = {
    "already_cancelled": ShipmentState.CANCELLED,
    "already_dispatched": ShipmentState.DISPATCHED,
}


def shipment_id(order: UUID) -> UUID:
    """The id of an order's one shipment."""
    return uuid5(SHIPMENT_IDS, str(order))


def ended_as_wanted(code: str, wanted: ShipmentState) -> bool:
    """Whether the carrier's refusal of an end says that the shipment has ended just so."""
    return ENDED.get(code) is wanted
