"""A payment gateway and a carrier in the process itself: they show what an order costs without calls over HTTP.

They answer at once and store nothing. An answer depends only on the key: the same request has the same answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from celery_config.contracts.shipment import Address
from payment_app import gateways
from shipment_app import carriers

IN_PROCESS = {
    "PAYMENT_GATEWAY": "tests.bench.providers.InstantGateway",
    "CARRIER": "tests.bench.providers.InstantCarrier",
}
"""The settings of the workers that use them."""


class Instant:
    """What both share: no connection, no books, no webhooks."""

    def __init__(self, settings: Any, *, seconds: float) -> None:
        pass

    def read_event(self, body: bytes, headers: Mapping[str, str]) -> None:
        return None


class InstantGateway(Instant):
    """Approves every payment."""

    currencies = gateways.SandboxGateway.currencies

    def authorize(
        self, *, key: UUID | str, order: UUID, amount: int, currency: str, token: str
    ) -> gateways.Authorized:
        return gateways.Authorized(f"instant_{key}")

    def capture(self, *, key: UUID | str, provider_id: str, amount: int, currency: str) -> None:
        pass

    def void(self, *, key: UUID | str, provider_id: str) -> None:
        pass

    def refund(self, *, key: UUID | str, provider_id: str, amount: int, currency: str) -> gateways.Refunded:
        return gateways.Refunded(f"instant_{key}")

    def find_entries(self, order: UUID) -> list[gateways.AuthorizationRecord]:
        return []

    def list_entries(self, since: datetime | None = None) -> Iterator[gateways.AuthorizationRecord]:
        return iter(())


class InstantCarrier(Instant):
    """Books every shipment."""

    def book(
        self, *, key: UUID | str, order: UUID, address: Address, weight_grams: int, parcels: int
    ) -> carriers.Booked:
        return carriers.Booked(f"instant_{key}", f"T{key}")

    def cancel(self, *, key: UUID | str, carrier_id: str) -> None:
        pass

    def dispatch(self, *, key: UUID | str, carrier_id: str) -> None:
        pass

    def find_entries(self, order: UUID) -> list[carriers.ShipmentRecord]:
        return []

    def list_entries(self, since: datetime | None = None) -> Iterator[carriers.ShipmentRecord]:
        return iter(())
