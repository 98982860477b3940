"""The Carrier protocol: what shipment asks of any carrier, and how each call may end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

from celery_config.contracts.shipment import Address
from celery_config.http.webhooks import CallEvent

State = Literal["booked", "cancelled", "dispatched"]
Operation = Literal["book", "cancel", "dispatch"]


@dataclass(frozen=True, slots=True)
class Booked:
    """The carrier booked a shipment; `carrier_id` names it in every later call."""

    carrier_id: str
    tracking_number: str


@dataclass(frozen=True, slots=True)
class ShipmentRecord:
    """One shipment in the carrier's records; `order` is None when the record names no order of ours."""

    carrier_id: str
    order: UUID | None
    state: State
    tracking_number: str
    weight_grams: int
    parcels: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CarrierEvent(CallEvent):
    """A webhook event about one of our calls to the carrier.

    Args:
        operation: which call it was.
        booked: the shipment; its ids are empty when none was booked.
    """

    operation: Operation
    booked: Booked
    weight_grams: int
    parcels: int


class Carrier(Protocol):
    """Calls to a carrier, safe to share between threads.

    A call that returns is done; every other end is Refused, OutcomeUnknown or CallFailed (celery_config/errors.py).
    `key` is the idempotency key: any number of calls with one key do their work once and end alike. Each call, or
    page of a list, ends within the time limit of the carrier.
    """

    def book(
        self, *, key: UUID | str, order: UUID, address: Address, weight_grams: int, parcels: int
    ) -> Booked:
        """Book a shipment. Codes of refusals: address_unreachable, parcel_too_heavy, or the carrier's own.

        The address may lack what its country requires (`celery_config/common/address_parts.py`). A carrier that needs
        more refuses.
        """
        ...

    def cancel(self, *, key: UUID | str, carrier_id: str) -> None:
        """Cancel a booking. Codes of refusals: already_dispatched, already_cancelled."""
        ...

    def dispatch(self, *, key: UUID | str, carrier_id: str) -> None:
        """Let the goods leave. Codes of refusals: already_dispatched, already_cancelled."""
        ...

    def find_entries(self, order: UUID) -> list[ShipmentRecord]:
        """The shipments of one order. An empty list proves nothing: a call may still be under way."""
        ...

    def list_entries(self, since: datetime | None = None) -> Iterator[ShipmentRecord]:
        """Every shipment booked since then (by default all), page by page, in the carrier's own order."""
        ...

    def read_event(self, body: bytes, headers: Mapping[str, str]) -> CarrierEvent | None:
        """Verify a webhook and return its event; None when it says nothing of the end of a call.

        Raises:
            SignatureInvalid, SignatureStale: the carrier did not sign it, or not now.
            EventUnreadable: the carrier signed it, but it cannot be read.
        """
        ...
