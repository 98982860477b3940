"""Shipment: weights are grams."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from celery_config.contracts.base import Command, Event, Refusal, Reply
from celery_config.contracts.values import Address as Address
from celery_config.contracts.values import Counted


@dataclass(frozen=True, kw_only=True)
class ShipmentBooked(Reply):
    service: ClassVar[str] = "shipment"
    shipment: UUID
    tracking_number: str


@dataclass(frozen=True, kw_only=True)
class ShipmentRefused(Refusal):
    service: ClassVar[str] = "shipment"


@dataclass(frozen=True, kw_only=True)
class ShipmentCancelled(Reply):
    service: ClassVar[str] = "shipment"
    order: UUID


@dataclass(frozen=True, kw_only=True)
class ShipmentDispatched(Reply):
    service: ClassVar[str] = "shipment"
    shipment: UUID


@dataclass(frozen=True, kw_only=True)
class BookShipment(Command):
    service: ClassVar[str] = "shipment"
    done: ClassVar[type[Reply]] = ShipmentBooked
    refused: ClassVar[type[Refusal] | None] = ShipmentRefused
    order: UUID
    address: Address
    weight_grams: int
    parcels: int = 1


@dataclass(frozen=True, kw_only=True)
class CancelShipment(Command):
    """Undo of `BookShipment`."""

    service: ClassVar[str] = "shipment"
    done: ClassVar[type[Reply]] = ShipmentCancelled
    order: UUID


@dataclass(frozen=True, kw_only=True)
class DispatchShipment(Command):
    """The carrier may take the parcel."""

    service: ClassVar[str] = "shipment"
    done: ClassVar[type[Reply]] = ShipmentDispatched
    order: UUID
    shipment: UUID


@dataclass(frozen=True, kw_only=True)
class RecipientForgotten(Reply):
    """A receipt: how many rows of which table told of the person, until when."""

    service: ClassVar[str] = "shipment"
    erasure: UUID
    rows: tuple[Counted, ...]
    at: datetime


@dataclass(frozen=True, kw_only=True)
class ForgetRecipient(Command):
    """Forget who got parcels. `about`: the ids of their orders, which have ended, and of the sagas of those."""

    service: ClassVar[str] = "shipment"
    done: ClassVar[type[Reply]] = RecipientForgotten
    erasure: UUID
    customer: UUID
    about: tuple[UUID, ...]


# Of choreographed orders: what shipment announces, with what those after it need.


@dataclass(frozen=True, kw_only=True)
class ShipmentArranged(Event):
    """The carrier is booked."""

    service: ClassVar[str] = "shipment"
    order: UUID
    payment: UUID
    reservation: UUID
    shipment: UUID
    tracking_number: str


@dataclass(frozen=True, kw_only=True)
class ShipmentFailed(Event):
    """No carrier goes there."""

    service: ClassVar[str] = "shipment"
    order: UUID
    code: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class ShipmentDeparted(Event):
    """The carrier may take the parcel."""

    service: ClassVar[str] = "shipment"
    order: UUID


@dataclass(frozen=True, kw_only=True)
class ShipmentRecalled(Event):
    """Nothing is booked, and nothing will be."""

    service: ClassVar[str] = "shipment"
    order: UUID
