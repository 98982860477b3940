"""The sandbox carrier (compose/sandbox) as a carrier."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

from celery_config.contracts.shipment import Address
from celery_config.http_client import CALL_SECONDS, JsonClient, Outcomes, order_id
from shipment_app.carriers.base import Booked, BookEntry
from shipment_app.carriers.errors import CarrierFailed, CarrierRefused, CarrierUnknown

SHIPMENTS = "/carrier/shipments"
PAGE = "500"


class SandboxCarrier:
    """Speaks to the sandbox at `url`; `seconds` limits one call in total."""

    def __init__(self, url: str, *, seconds: float = CALL_SECONDS) -> None:
        self._http = JsonClient(url, Outcomes(CarrierRefused, CarrierUnknown, CarrierFailed), seconds=seconds)

    def book(
        self, *, key: UUID | str, order: UUID, address: Address, weight_grams: int, parcels: int
    ) -> Booked:
        body = {
            "reference": str(order),
            "address": asdict(address),
            "weight_grams": weight_grams,
            "parcels": parcels,
        }
        shipment = self._http.post(SHIPMENTS, body, key=str(key))
        return Booked(shipment["id"], shipment["tracking_number"])

    def cancel(self, *, key: UUID | str, carrier_id: str) -> None:
        self._http.post(f"{SHIPMENTS}/{carrier_id}/cancel", {}, key=str(key))

    def dispatch(self, *, key: UUID | str, carrier_id: str) -> None:
        self._http.post(f"{SHIPMENTS}/{carrier_id}/dispatch", {}, key=str(key))

    def find(self, order: UUID) -> list[BookEntry]:
        return [
            _entry(item) for item in self._http.items(SHIPMENTS, {"reference": str(order), "limit": PAGE})
        ]

    def books(self, since: datetime | None = None) -> Iterator[BookEntry]:
        params = {"limit": PAGE} | ({"since": since.isoformat()} if since else {})
        return (_entry(item) for item in self._http.items(SHIPMENTS, params))

    def close(self) -> None:
        self._http.close()


def _entry(item: dict[str, Any]) -> BookEntry:
    return BookEntry(
        carrier_id=item["id"],
        order=order_id(item["reference"]),
        state=item["status"],
        tracking_number=item["tracking_number"],
        weight_grams=item["weight_grams"],
        parcels=item["parcels"],
    )
