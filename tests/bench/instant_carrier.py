"""A carrier in the process itself."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

from celery_config.contracts.shipment import Address
from shipment_app import carriers
from tests.bench.providers import Instant


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
