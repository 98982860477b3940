"""Payment: amounts are integer minor units of `currency` (ISO 4217)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from celery_config.contracts.base import Command, Event, Refusal, Reply
from celery_config.contracts.values import Address, Counted, Line


@dataclass(frozen=True, kw_only=True)
class PaymentAuthorized(Reply):
    service: ClassVar[str] = "payment"
    payment: UUID
    amount: int
    currency: str
    expires_at: datetime | None = None
    """When the provider lets go of what nobody captured."""


@dataclass(frozen=True, kw_only=True)
class PaymentRefused(Refusal):
    service: ClassVar[str] = "payment"


@dataclass(frozen=True, kw_only=True)
class PaymentVoided(Reply):
    service: ClassVar[str] = "payment"
    order: UUID


@dataclass(frozen=True, kw_only=True)
class PaymentCaptured(Reply):
    service: ClassVar[str] = "payment"
    payment: UUID
    captured_amount: int


@dataclass(frozen=True, kw_only=True)
class CaptureRefused(Refusal):
    service: ClassVar[str] = "payment"


@dataclass(frozen=True, kw_only=True)
class PaymentRefunded(Reply):
    service: ClassVar[str] = "payment"
    refund: UUID
    refunded_amount: int


@dataclass(frozen=True, kw_only=True)
class RefundRefused(Refusal):
    service: ClassVar[str] = "payment"


@dataclass(frozen=True, kw_only=True)
class AuthorizePayment(Command):
    """Hold `amount` on what `payment_token` stands for."""

    service: ClassVar[str] = "payment"
    done: ClassVar[type[Reply]] = PaymentAuthorized
    refused: ClassVar[type[Refusal] | None] = PaymentRefused
    order: UUID
    customer: UUID
    amount: int
    currency: str
    payment_token: str


@dataclass(frozen=True, kw_only=True)
class VoidPayment(Command):
    """Undo of `AuthorizePayment`."""

    service: ClassVar[str] = "payment"
    done: ClassVar[type[Reply]] = PaymentVoided
    order: UUID


@dataclass(frozen=True, kw_only=True)
class CapturePayment(Command):
    """Take the authorized money."""

    service: ClassVar[str] = "payment"
    done: ClassVar[type[Reply]] = PaymentCaptured
    refused: ClassVar[type[Refusal] | None] = CaptureRefused
    order: UUID
    payment: UUID


@dataclass(frozen=True, kw_only=True)
class RefundPayment(Command):
    """Give back `refund_amount` of a captured payment. `refund` names this refund."""

    service: ClassVar[str] = "payment"
    done: ClassVar[type[Reply]] = PaymentRefunded
    refused: ClassVar[type[Refusal] | None] = RefundRefused
    order: UUID
    refund: UUID
    refund_amount: int
    currency: str


@dataclass(frozen=True, kw_only=True)
class PayerForgotten(Reply):
    """A receipt: how many rows of which table told of the person, until when."""

    service: ClassVar[str] = "payment"
    erasure: UUID
    rows: tuple[Counted, ...]
    at: datetime


@dataclass(frozen=True, kw_only=True)
class ForgetPayer(Command):
    """Forget who paid. `about`: the ids of their orders, which have ended, and of the sagas that carried those."""

    service: ClassVar[str] = "payment"
    done: ClassVar[type[Reply]] = PayerForgotten
    erasure: UUID
    customer: UUID
    about: tuple[UUID, ...]


# Of choreographed orders: what payment announces, with what those after it need.


@dataclass(frozen=True, kw_only=True)
class PaymentReceived(Event):
    """The money is held."""

    service: ClassVar[str] = "payment"
    order: UUID
    payment: UUID
    lines: tuple[Line, ...]
    address: Address
    weight_grams: int
    parcels: int
    expires_at: datetime | None = None
    """When whoever holds the money lets go of it."""


@dataclass(frozen=True, kw_only=True)
class PaymentCollected(Event):
    """The money was taken: from here on the order only goes forward."""

    service: ClassVar[str] = "payment"
    order: UUID
    payment: UUID
    captured_amount: int
    reservation: UUID
    shipment: UUID


@dataclass(frozen=True, kw_only=True)
class PaymentFailed(Event):
    """The money cannot be held, or not be taken."""

    service: ClassVar[str] = "payment"
    order: UUID
    code: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class PaymentReleased(Event):
    """Nothing is held, and nothing will be taken: whoever did something for the order undoes it."""

    service: ClassVar[str] = "payment"
    order: UUID
    code: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class PaymentRetained(Event):
    """The money was taken before anybody asked to have it back: nothing is undone."""

    service: ClassVar[str] = "payment"
    order: UUID
