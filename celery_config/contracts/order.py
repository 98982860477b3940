"""What the order service announces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from celery_config.contracts.base import Event
from celery_config.contracts.values import Address, Line


@dataclass(frozen=True, kw_only=True)
class OrderConfirmed(Event):
    """Every step of the order is done."""

    service: ClassVar[str] = "order"
    order: UUID


@dataclass(frozen=True, kw_only=True)
class OrderCancelled(Event):
    """Nothing of the order is left done; `code` says why."""

    service: ClassVar[str] = "order"
    order: UUID
    code: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class CustomerChanged(Event):
    """The full state of one customer; `version` counts its changes without a gap."""

    service: ClassVar[str] = "order"
    customer: UUID
    name: str
    email: str
    currency: str
    billing_address: Address | None
    delivery_address: Address | None
    version: int


@dataclass(frozen=True, kw_only=True)
class CustomerDeleted(Event):
    """The customer is gone; `version` is one more than the last state had."""

    service: ClassVar[str] = "order"
    customer: UUID
    version: int


# Of choreographed orders, which no command reaches: each service acts on what the others announce.


@dataclass(frozen=True, kw_only=True)
class OrderPlaced(Event):
    """An order waits for whoever has a part in it; `amount` in minor units of `currency`, weight in grams."""

    service: ClassVar[str] = "order"
    order: UUID
    customer: UUID
    amount: int
    currency: str
    payment_token: str
    lines: tuple[Line, ...]
    address: Address
    weight_grams: int
    parcels: int


@dataclass(frozen=True, kw_only=True)
class OrderWithdrawn(Event):
    """The order shall not be, unless its money was taken already; `code` says why."""

    service: ClassVar[str] = "order"
    order: UUID
    code: str
    reason: str
