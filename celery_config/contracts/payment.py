"""Payment: amounts are integer minor units of `currency` (ISO 4217)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from celery_config.contracts.base import Command, Event, Refusal, Reply
from celery_config.contracts.values import Address, Counted, Line

TOKEN_LETTER = "[!-~]"
"""Of a payment token: the visible signs of ASCII, as a class of a regular expression."""
MAX_AMOUNT = 10**12
"""Of one payment: far above any real one, and far below what the columns hold."""


@dataclass(frozen=True, kw_only=True)
class PaymentAuthorized(Reply):
    payment: UUID
    amount: int
    currency: str
    expires_at: datetime | None = None
    """When the provider releases an amount that was not captured."""


@dataclass(frozen=True, kw_only=True)
class PaymentRefused(Refusal): ...


@dataclass(frozen=True, kw_only=True)
class PaymentVoided(Reply):
    order: UUID


@dataclass(frozen=True, kw_only=True)
class PaymentCaptured(Reply):
    payment: UUID
    captured_amount: int


@dataclass(frozen=True, kw_only=True)
class CaptureRefused(Refusal): ...


@dataclass(frozen=True, kw_only=True)
class PaymentRefunded(Reply):
    refund: UUID
    refunded_amount: int


@dataclass(frozen=True, kw_only=True)
class RefundRefused(Refusal): ...


@dataclass(frozen=True, kw_only=True)
class AuthorizePayment(Command):
    """Hold `amount` on the payment method of `payment_token`."""

    provider = "payment provider"
    done = PaymentAuthorized
    refused = PaymentRefused
    personal = ("customer", "payment_token")
    order: UUID
    customer: UUID
    amount: int
    currency: str
    payment_token: str


@dataclass(frozen=True, kw_only=True)
class VoidPayment(Command):
    """Undo of `AuthorizePayment`."""

    provider = "payment provider"
    done = PaymentVoided
    order: UUID


@dataclass(frozen=True, kw_only=True)
class CapturePayment(Command):
    """Take the authorized money."""

    provider = "payment provider"
    done = PaymentCaptured
    refused = CaptureRefused
    order: UUID
    payment: UUID


@dataclass(frozen=True, kw_only=True)
class RefundPayment(Command):
    """Give back `refund_amount` of a captured payment. `refund` names this refund."""

    provider = "payment provider"
    done = PaymentRefunded
    refused = RefundRefused
    order: UUID
    refund: UUID
    refund_amount: int
    currency: str


@dataclass(frozen=True, kw_only=True)
class PayerForgotten(Reply):
    """A receipt: how many rows of which table had the person's data, and when they were erased."""

    erasure: UUID
    rows: tuple[Counted, ...]
    at: datetime


@dataclass(frozen=True, kw_only=True)
class ForgetPayer(Command):
    """Erase who paid. `about`: the ids of the person's orders, all ended, and of their sagas."""

    done = PayerForgotten
    personal = ("customer",)
    erasure: UUID
    customer: UUID
    about: tuple[UUID, ...]


@dataclass(frozen=True, kw_only=True)
class CurrencyChanged(Event):
    """What the payment provider takes of one currency; `version` counts its changes without a gap."""

    currency: str
    accepted: bool
    step: int
    """Amounts are multiples of it, in minor units."""
    version: int


@dataclass(frozen=True, kw_only=True)
class CurrencyDeleted(Event):
    """The currency is no currency of ISO 4217 any more; `version` is one more than its last state had."""

    currency: str
    version: int


# Payment's events in choreographed orders, with the fields that later services need.


@dataclass(frozen=True, kw_only=True)
class PaymentReceived(Event):
    """The money is held."""

    order: UUID
    payment: UUID
    lines: tuple[Line, ...]
    address: Address
    weight_grams: int
    parcels: int
    expires_at: datetime | None = None
    """When the provider releases the money."""


@dataclass(frozen=True, kw_only=True)
class PaymentCollected(Event):
    """The money was taken: from here on the order only goes forward."""

    order: UUID
    payment: UUID
    captured_amount: int
    reservation: UUID
    shipment: UUID


@dataclass(frozen=True, kw_only=True)
class PaymentFailed(Event):
    """The money cannot be held, or cannot be taken."""

    order: UUID
    code: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class PaymentReleased(Event):
    """Nothing is held, and nothing will be taken: every service undoes its part of the order."""

    order: UUID
    code: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class PaymentRetained(Event):
    """The money was taken before the withdrawal came: nothing is undone."""

    order: UUID
