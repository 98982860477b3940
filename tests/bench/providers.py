"""A provider and a carrier in the process itself: what the order costs without the calls to them.

They answer at once and remember nothing: an answer follows from the key alone, so repeats are answered alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from celery_config.contracts.shipment import Address
from payment_app.gateways import AuthorizationRecord, Authorized, Refunded
from shipment_app.carriers import Booked, ShipmentRecord

IN_PROCESS = {
    "PAYMENT_GATEWAY": "tests.bench.providers.InstantGateway",
    "CARRIER": "tests.bench.providers.InstantCarrier",
}
"""The settings of workers that use them."""


class Instant:
    """What both are: nobody to connect to, no books, no webhooks."""

    def __init__(self, settings: Any, *, seconds: float) -> None:
        pass

    def event(self, body: bytes, headers: Mapping[str, str]) -> None:
        return None

    def close(self) -> None:
        pass


class InstantGateway(Instant):
    """Approves everything."""

    def authorize(
        self, *, key: UUID | str, order: UUID, amount: int, currency: str, token: str
    ) -> Authorized:
        return Authorized(f"instant_{key}")

    def capture(self, *, key: UUID | str, provider_id: str, amount: int) -> None:
        pass

    def void(self, *, key: UUID | str, provider_id: str) -> None:
        pass

    def refund(self, *, key: UUID | str, provider_id: str, amount: int) -> Refunded:
        return Refunded(f"instant_{key}")

    def find(self, order: UUID) -> list[AuthorizationRecord]:
        return []

    def books(self, since: datetime | None = None) -> Iterator[AuthorizationRecord]:
        return iter(())


class InstantCarrier(Instant):
    """Books everything."""

    def book(
        self, *, key: UUID | str, order: UUID, address: Address, weight_grams: int, parcels: int
    ) -> Booked:
        return Booked(f"instant_{key}", f"T{key}")

    def cancel(self, *, key: UUID | str, carrier_id: str) -> None:
        pass

    def dispatch(self, *, key: UUID | str, carrier_id: str) -> None:
        pass

    def find(self, order: UUID) -> list[ShipmentRecord]:
        return []

    def books(self, since: datetime | None = None) -> Iterator[ShipmentRecord]:
        return iter(())
