"""The order service's events; amounts are integer minor units of `currency`."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from celery_config.contracts.base import Event
from celery_config.contracts.values import Address, Line


@dataclass(frozen=True, kw_only=True)
class OrderConfirmed(Event):
    """Every step of the order is done."""

    order: UUID


@dataclass(frozen=True, kw_only=True)
class OrderCancelled(Event):
    """All effects of the order are undone; `code` says why."""

    personal = ("reason",)

    order: UUID
    code: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class CustomerChanged(Event):
    """The full state of one customer; `version` counts its changes without a gap."""

    personal = ("customer", "name", "email")

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

    personal = ("customer",)

    customer: UUID
    version: int


# Choreographed orders get no commands: each service reacts to the others' events.


@dataclass(frozen=True, kw_only=True)
class OrderPlaced(Event):
    """A choreographed order begins; `amount` in minor units of `currency`, weight in grams."""

    personal = ("customer", "payment_token")

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
    """The order is to be undone, unless its money was taken already; `code` says why."""

    personal = ("reason",)

    order: UUID
    code: str
    reason: str
