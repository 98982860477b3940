"""The Gateway protocol: what payment asks of any provider, and how each call may end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

from celery_config.http.webhooks import CallEvent
from payment_app.gateways.currencies import Currencies

State = Literal["authorized", "captured", "voided"]
Operation = Literal["authorize", "capture", "void", "refund"]


@dataclass(frozen=True, slots=True)
class Authorized:
    """The provider holds the money; `provider_id` names the authorization in every later call."""

    provider_id: str


@dataclass(frozen=True, slots=True)
class Refunded:
    """The provider gave money back; `refund_id` is the provider's name for the refund."""

    refund_id: str


@dataclass(frozen=True, slots=True)
class AuthorizationRecord:
    """One authorization in the provider's records; amounts in minor units of `currency`.

    `order` is None when the record names no order of ours.
    """

    provider_id: str
    order: UUID | None
    state: State
    amount: int
    captured: int
    refunded: int
    currency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderEvent(CallEvent):
    """A webhook event about one of our calls to the provider.

    Args:
        operation: which call it was.
        provider_id: of the authorization; empty when none was made.
        amount: what the call held, took or gave back, or asked for, in minor units of `currency`.
        refund_id: the provider's name for a refund.
    """

    operation: Operation
    provider_id: str
    amount: int
    currency: str
    refund_id: str = ""


class Gateway(Protocol):
    """Calls to a provider, safe to share between threads.

    A call that returns is done; every other end is Refused, OutcomeUnknown or CallFailed (celery_config/errors.py).
    `key` is the idempotency key: any number of calls with one key do their work once and end alike. Each call, or
    page of a list, ends within the time limit of the gateway. All amounts are in minor units of ISO 4217; what the
    provider counts in is the gateway's own affair.
    """

    currencies: Currencies
    """What the provider takes, and in which units and steps; payment announces it."""

    def authorize(
        self, *, key: UUID | str, order: UUID, amount: int, currency: str, token: str
    ) -> Authorized:
        """Hold `amount` on the card behind `token`; the provider keeps `order` beside it.

        Codes of refusals: card_declined, insufficient_funds, invalid_token, currency_not_supported,
        amount_not_payable, or the provider's own.
        """
        ...

    def capture(self, *, key: UUID | str, provider_id: str, amount: int, currency: str) -> None:
        """Take `amount`, at most what is held, once; the rest is released.

        Codes of refusals: already_captured, already_voided, amount_too_large.
        """
        ...

    def void(self, *, key: UUID | str, provider_id: str) -> None:
        """Release the held money. Codes of refusals: already_captured, already_voided."""
        ...

    def refund(self, *, key: UUID | str, provider_id: str, amount: int, currency: str) -> Refunded:
        """Give back captured money, all or a part. Codes of refusals: amount_too_large, not_captured."""
        ...

    def find_entries(self, order: UUID) -> list[AuthorizationRecord]:
        """The authorizations of one order. An empty list proves nothing: a call may still be under way."""
        ...

    def list_entries(self, since: datetime | None = None) -> Iterator[AuthorizationRecord]:
        """Every authorization made since then (by default all), page by page, in the provider's own order."""
        ...

    def read_event(self, body: bytes, headers: Mapping[str, str]) -> ProviderEvent | None:
        """Verify a webhook and return its event; None when it says nothing of the end of a call.

        Raises:
            SignatureInvalid, SignatureStale: the provider did not sign it, or not now.
            EventUnreadable: the provider signed it, but it cannot be read.
        """
        ...
