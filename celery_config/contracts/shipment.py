"""Shipment: weights are grams."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from celery_config.messages import Command, Refusal, Reply


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where the parcel goes; `country` is ISO 3166-1 alpha-2."""

    name: str
    line1: str
    city: str
    postal_code: str
    country: str


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
