"""What the shop asks of a carrier, whoever it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

from celery_config.contracts.shipment import Address

State = Literal["booked", "cancelled", "dispatched"]


@dataclass(frozen=True, slots=True)
class Booked:
    """A shipment is booked; `carrier_id` names it in every later call."""

    carrier_id: str
    tracking_number: str


@dataclass(frozen=True, slots=True)
class BookEntry:
    """One shipment in the carrier's own books; `order` is None when it names no order of ours."""

    carrier_id: str
    order: UUID | None
    state: State
    tracking_number: str
    weight_grams: int
    parcels: int


class Carrier(Protocol):
    """Calls to a carrier, safe to share between threads.

    A return means done. Everything else is CarrierRefused, CarrierUnknown or CarrierFailed (errors.py).
    `key` is the idempotency key: any number of calls with one key do their work once and end alike. Every
    call, or page of a list, ends within the time limit the carrier was made with.
    """

    def book(
        self, *, key: UUID | str, order: UUID, address: Address, weight_grams: int, parcels: int
    ) -> Booked:
        """Book a shipment. Refused codes: address_unreachable, parcel_too_heavy, or the carrier's own."""
        ...

    def cancel(self, *, key: UUID | str, carrier_id: str) -> None:
        """Cancel a booking. Refused codes: already_dispatched, already_cancelled."""
        ...

    def dispatch(self, *, key: UUID | str, carrier_id: str) -> None:
        """Let the goods leave. Refused codes: already_dispatched, already_cancelled."""
        ...

    def find(self, order: UUID) -> list[BookEntry]:
        """The entries of one order. An empty list proves nothing: a call may still be under way."""
        ...

    def books(self, since: datetime | None = None) -> Iterator[BookEntry]:
        """Every entry made since then (all of them by default), page by page, in the carrier's own order."""
        ...

    def close(self) -> None:
        """Close the kept connections."""
        ...
