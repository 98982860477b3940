"""Shipment: weights are grams."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from celery_config.contracts.base import Command, Event, Refusal, Reply
from celery_config.contracts.values import Address as Address
from celery_config.contracts.values import Counted


@dataclass(frozen=True, kw_only=True)
class ShipmentBooked(Reply):
    shipment: UUID
    tracking_number: str


@dataclass(frozen=True, kw_only=True)
class ShipmentRefused(Refusal): ...


@dataclass(frozen=True, kw_only=True)
class ShipmentCancelled(Reply):
    order: UUID


@dataclass(frozen=True, kw_only=True)
class ShipmentDispatched(Reply):
    shipment: UUID


@dataclass(frozen=True, kw_only=True)
class BookShipment(Command):
    provider = "carrier"
    done = ShipmentBooked
    refused = ShipmentRefused
    hashed_defaults = ("parcels",)
    order: UUID
    address: Address
    weight_grams: int
    parcels: int = 1


@dataclass(frozen=True, kw_only=True)
class CancelShipment(Command):
    """Undo of `BookShipment`."""

    provider = "carrier"
    done = ShipmentCancelled
    order: UUID


@dataclass(frozen=True, kw_only=True)
class DispatchShipment(Command):
    """The carrier may take the parcel."""

    provider = "carrier"
    done = ShipmentDispatched
    order: UUID
    shipment: UUID


@dataclass(frozen=True, kw_only=True)
class RecipientForgotten(Reply):
    """A receipt: how many rows of which table had the person's data, and when they were erased."""

    erasure: UUID
    rows: tuple[Counted, ...]
    at: datetime


@dataclass(frozen=True, kw_only=True)
class ForgetRecipient(Command):
    """Erase who got parcels. `about`: the ids of the person's orders, all ended, and of their sagas."""

    done = RecipientForgotten
    personal = ("customer",)
    erasure: UUID
    customer: UUID
    about: tuple[UUID, ...]


# Shipment's events in choreographed orders, with the fields that later services need.


@dataclass(frozen=True, kw_only=True)
class ShipmentArranged(Event):
    """The carrier is booked."""

    order: UUID
    payment: UUID
    reservation: UUID
    shipment: UUID
    tracking_number: str


@dataclass(frozen=True, kw_only=True)
class ShipmentFailed(Event):
    """No carrier delivers there."""

    order: UUID
    code: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class ShipmentDeparted(Event):
    """The carrier may take the parcel."""

    order: UUID


@dataclass(frozen=True, kw_only=True)
class ShipmentRecalled(Event):
    """Nothing is booked, and nothing will be."""

    order: UUID
