"""Inventory: quantities are whole units, prices integer minor units of `currency`, weights grams."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from celery_config.contracts.base import Command, Event, Refusal, Reply
from celery_config.contracts.values import Address, Counted
from celery_config.contracts.values import Line as Line

# No spaces at the ends and no slash or backslash, since a SKU is a part of URLs.
SKU_PATTERN = r"^[^\s/\\]([^\t\r\n/\\]*[^\s/\\])?$"
MAX_SKU = 64
MAX_NAME = 200
# Far over anything real, and far under what the columns bear.
MAX_PRICE = 10**12


@dataclass(frozen=True, kw_only=True)
class StockReserved(Reply):
    service: ClassVar[str] = "inventory"
    reservation: UUID


@dataclass(frozen=True, kw_only=True)
class StockRefused(Refusal):
    service: ClassVar[str] = "inventory"


@dataclass(frozen=True, kw_only=True)
class StockReleased(Reply):
    service: ClassVar[str] = "inventory"
    order: UUID


@dataclass(frozen=True, kw_only=True)
class StockCommitted(Reply):
    service: ClassVar[str] = "inventory"
    reservation: UUID


@dataclass(frozen=True, kw_only=True)
class ReserveStock(Command):
    """Hold all lines or none."""

    service: ClassVar[str] = "inventory"
    done: ClassVar[type[Reply]] = StockReserved
    refused: ClassVar[type[Refusal] | None] = StockRefused
    order: UUID
    lines: tuple[Line, ...]


@dataclass(frozen=True, kw_only=True)
class ReleaseStock(Command):
    """Undo of `ReserveStock`."""

    service: ClassVar[str] = "inventory"
    done: ClassVar[type[Reply]] = StockReleased
    order: UUID


@dataclass(frozen=True, kw_only=True)
class CommitStock(Command):
    """The reserved goods leave the stock for good."""

    service: ClassVar[str] = "inventory"
    done: ClassVar[type[Reply]] = StockCommitted
    order: UUID
    reservation: UUID


@dataclass(frozen=True, kw_only=True)
class BuyerForgotten(Reply):
    """A receipt: how many rows of which table told of the person, until when."""

    service: ClassVar[str] = "inventory"
    erasure: UUID
    rows: tuple[Counted, ...]
    at: datetime


@dataclass(frozen=True, kw_only=True)
class ForgetBuyer(Command):
    """Forget whose goods were held. `about`: the ids of their orders, which have ended, and of the sagas of those."""

    service: ClassVar[str] = "inventory"
    done: ClassVar[type[Reply]] = BuyerForgotten
    erasure: UUID
    customer: UUID
    about: tuple[UUID, ...]


@dataclass(frozen=True, kw_only=True)
class ProductChanged(Event):
    """The full state of one product; `version` counts its changes without a gap."""

    service: ClassVar[str] = "inventory"
    sku: str
    name: str
    price: int
    currency: str
    weight_grams: int
    active: bool
    version: int


@dataclass(frozen=True, kw_only=True)
class ProductDeleted(Event):
    """The product is gone; `version` is one more than its last state had."""

    service: ClassVar[str] = "inventory"
    sku: str
    version: int


# Of choreographed orders: what inventory announces, with what those after it need.


@dataclass(frozen=True, kw_only=True)
class InventoryFetched(Event):
    """All lines are held."""

    service: ClassVar[str] = "inventory"
    order: UUID
    payment: UUID
    reservation: UUID
    address: Address
    weight_grams: int
    parcels: int


@dataclass(frozen=True, kw_only=True)
class InventoryRefused(Event):
    """Not all lines are there, so none is held."""

    service: ClassVar[str] = "inventory"
    order: UUID
    code: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class InventoryIssued(Event):
    """The goods have left the stock for good."""

    service: ClassVar[str] = "inventory"
    order: UUID
    shipment: UUID


@dataclass(frozen=True, kw_only=True)
class InventoryReturned(Event):
    """Nothing is held, and nothing will be."""

    service: ClassVar[str] = "inventory"
    order: UUID
