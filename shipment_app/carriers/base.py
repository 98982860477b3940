"""What the shop asks of a carrier, whoever it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

from celery_config.contracts.shipment import Address
from shipment_app.carriers.errors import CarrierRefused

State = Literal["booked", "cancelled", "dispatched"]
Operation = Literal["book", "cancel", "dispatch"]


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


@dataclass(frozen=True, slots=True)
class CarrierEvent:
    """What the carrier tells unasked: how a call ended that was made with `key`.

    Args:
        id: the carrier's name for the event; `kind` its own word for what happened.
        key: the idempotency key of the call.
        operation: which call it was.
        order: None when it names no order of ours.
        booked: the shipment; empty names when none was booked.
        refused: why it was refused; None when it was done.
    """

    id: str
    kind: str
    key: str
    operation: Operation
    order: UUID | None
    booked: Booked
    weight_grams: int
    parcels: int
    refused: CarrierRefused | None = None


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

    def event(self, body: bytes, headers: Mapping[str, str]) -> CarrierEvent | None:
        """Verify a webhook and return what it tells; None when it tells nothing of a call's end.

        Raises:
            SignatureInvalid, SignatureStale: it is not to be believed.
            EventUnreadable: it is the carrier's, but cannot be read.
        """
        ...

    def close(self) -> None:
        """Close the kept connections."""
        ...
