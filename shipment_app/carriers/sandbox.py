"""The sandbox carrier (compose/sandbox) as a carrier."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from celery_config.common.identifiers import order_id
from celery_config.contracts.shipment import Address
from celery_config.http.client import CALL_SECONDS
from celery_config.http.json_client import JsonClient, Outcomes
from celery_config.http.webhooks import data_as, opened
from shipment_app.carriers.base import Booked, BookEntry, CarrierEvent, Operation
from shipment_app.carriers.errors import CarrierFailed, CarrierRefused, CarrierUnknown

SHIPMENTS = "/carrier/shipments"
PAGE = "500"
OPERATIONS: dict[str, Operation] = {
    "shipment.booked": "book",
    "shipment.refused": "book",
    "shipment.cancelled": "cancel",
    "shipment.dispatched": "dispatch",
}


@dataclass(frozen=True, slots=True)
class EventData:
    """A shipment, or a refused request with `code` and `reason`."""

    reference: str
    weight_grams: int
    parcels: int
    id: str = ""
    tracking_number: str = ""
    code: str = ""
    reason: str = ""


class SandboxCarrier:
    """Speaks to the sandbox at `url`.

    Args:
        seconds: limit of one call in total.
        webhook_secret: with which its webhooks are signed; without one none is believed.
    """

    def __init__(self, url: str, *, seconds: float = CALL_SECONDS, webhook_secret: str = "") -> None:
        self._webhook_secret = webhook_secret
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

    def event(self, body: bytes, headers: Mapping[str, str]) -> CarrierEvent | None:
        told = opened(body, headers, self._webhook_secret, now=time.time())
        if told.type not in OPERATIONS:
            return None
        data = data_as(EventData, told)
        return CarrierEvent(
            id=told.id,
            kind=told.type,
            key=told.idempotency_key,
            operation=OPERATIONS[told.type],
            order=order_id(data.reference),
            booked=Booked(data.id, data.tracking_number),
            weight_grams=data.weight_grams,
            parcels=data.parcels,
            refused=CarrierRefused(data.code, data.reason) if data.code else None,
        )

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
