"""What the shop asks of a payment provider, whoever it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

from payment_app.gateways.errors import Declined

State = Literal["authorized", "captured", "voided"]
Operation = Literal["authorize", "capture", "void", "refund"]


@dataclass(frozen=True, slots=True)
class Authorized:
    """Money is held; `provider_id` names it in every later call."""

    provider_id: str


@dataclass(frozen=True, slots=True)
class Refunded:
    """Money was given back; `refund_id` is the provider's name for it."""

    refund_id: str


@dataclass(frozen=True, slots=True)
class BookEntry:
    """One authorization in the provider's own books; amounts in minor units of `currency`.

    `order` is None when the provider's entry names no order of ours.
    """

    provider_id: str
    order: UUID | None
    state: State
    amount: int
    captured: int
    refunded: int
    currency: str


@dataclass(frozen=True, slots=True)
class ProviderEvent:
    """What the provider tells unasked: how a call ended that was made with `key`.

    Args:
        id: the provider's name for the event; `kind` its own word for what happened.
        key: the idempotency key of the call.
        operation: which call it was.
        order: None when the entry names no order of ours.
        provider_id: of the authorization; empty when none was made.
        amount: what was held, taken or given back, or was not, in minor units of `currency`.
        refund_id: the provider's name for a refund.
        declined: why it was refused; None when it was done.
    """

    id: str
    kind: str
    key: str
    operation: Operation
    order: UUID | None
    provider_id: str
    amount: int
    currency: str
    refund_id: str = ""
    declined: Declined | None = None


class Gateway(Protocol):
    """Calls to a provider, safe to share between threads.

    A return means done. Everything else is Declined, Unknown or CallFailed (errors.py). `key` is the
    idempotency key: any number of calls with one key do their work once and end alike. Every call, or page
    of a list, ends within the time limit the gateway was made with.
    """

    def authorize(
        self, *, key: UUID | str, order: UUID, amount: int, currency: str, token: str
    ) -> Authorized:
        """Hold `amount` on what `token` stands for; the provider keeps `order` beside it.

        Declined codes: card_declined, insufficient_funds, invalid_token, or the provider's own.
        """
        ...

    def capture(self, *, key: UUID | str, provider_id: str, amount: int) -> None:
        """Take `amount`, at most what is held, once; the rest is let go.

        Declined codes: already_captured, already_voided, amount_too_large.
        """
        ...

    def void(self, *, key: UUID | str, provider_id: str) -> None:
        """Let the held money go. Declined codes: already_captured, already_voided."""
        ...

    def refund(self, *, key: UUID | str, provider_id: str, amount: int) -> Refunded:
        """Give back captured money, all or a part. Declined codes: amount_too_large, not_captured."""
        ...

    def find(self, order: UUID) -> list[BookEntry]:
        """The entries of one order. An empty list proves nothing: a call may still be under way."""
        ...

    def books(self, since: datetime | None = None) -> Iterator[BookEntry]:
        """Every entry made since then (all of them by default), page by page, in the provider's own order."""
        ...

    def event(self, body: bytes, headers: Mapping[str, str]) -> ProviderEvent | None:
        """Verify a webhook and return what it tells; None when it tells nothing of a call's end.

        Raises:
            SignatureInvalid, SignatureStale: it is not to be believed.
            EventUnreadable: it is the provider's, but cannot be read.
        """
        ...

    def close(self) -> None:
        """Close the kept connections."""
        ...
