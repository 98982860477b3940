"""Inventory: quantities are whole units, prices integer minor units of `currency`, weights grams."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from celery_config.contracts.base import Command, Event, Refusal, Reply
from celery_config.contracts.values import Address, Counted
from celery_config.contracts.values import Line as Line

# Control characters, soft hyphen, marks of direction and other characters that cannot be seen or read.
UNSEEN = r"\x00-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufffd"
# No space at an end, no slash, no backslash, and not `.` or `..`, because a SKU is a part of URLs.
SKU_PATTERN = rf"^(?!\.\.?$)[^\s/\\{UNSEEN}]([^/\\{UNSEEN}]*[^\s/\\{UNSEEN}])?$(?!\n)"
MAX_SKU = 64
MAX_NAME = 200
# Far above any real price, and far below what the columns hold.
MAX_PRICE = 10**12
MAX_STOCK = 10**12


@dataclass(frozen=True, kw_only=True)
class StockReserved(Reply):
    reservation: UUID


@dataclass(frozen=True, kw_only=True)
class StockRefused(Refusal): ...


@dataclass(frozen=True, kw_only=True)
class StockReleased(Reply):
    order: UUID


@dataclass(frozen=True, kw_only=True)
class StockCommitted(Reply):
    reservation: UUID


@dataclass(frozen=True, kw_only=True)
class ReserveStock(Command):
    """Hold all lines or none."""

    done = StockReserved
    refused = StockRefused
    order: UUID
    lines: tuple[Line, ...]


@dataclass(frozen=True, kw_only=True)
class ReleaseStock(Command):
    """Undo of `ReserveStock`."""

    done = StockReleased
    order: UUID


@dataclass(frozen=True, kw_only=True)
class CommitStock(Command):
    """The reserved goods leave the stock for good."""

    done = StockCommitted
    order: UUID
    reservation: UUID


@dataclass(frozen=True, kw_only=True)
class BuyerForgotten(Reply):
    """A receipt: how many rows of which table had the person's data, and when they were erased."""

    erasure: UUID
    rows: tuple[Counted, ...]
    at: datetime


@dataclass(frozen=True, kw_only=True)
class ForgetBuyer(Command):
    """Erase whose goods were held. `about`: the ids of the person's orders, all ended, and of their sagas."""

    done = BuyerForgotten
    personal = ("customer",)
    erasure: UUID
    customer: UUID
    about: tuple[UUID, ...]


@dataclass(frozen=True, kw_only=True)
class ProductChanged(Event):
    """The full state of one product; `version` counts its changes without a gap."""

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

    sku: str
    version: int


# Inventory's events in choreographed orders, with the fields that later services need.


@dataclass(frozen=True, kw_only=True)
class InventoryFetched(Event):
    """All lines are held."""

    order: UUID
    payment: UUID
    reservation: UUID
    address: Address
    weight_grams: int
    parcels: int


@dataclass(frozen=True, kw_only=True)
class InventoryRefused(Event):
    """Not all lines are in stock, so none is held."""

    order: UUID
    code: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class InventoryIssued(Event):
    """The goods have left the stock for good."""

    order: UUID
    shipment: UUID


@dataclass(frozen=True, kw_only=True)
class InventoryReturned(Event):
    """Nothing is held, and nothing will be."""

    order: UUID
