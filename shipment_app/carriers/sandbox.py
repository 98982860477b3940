"""The sandbox carrier (compose/sandbox) as a carrier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from celery_config.common.identifiers import parse_uuid
from celery_config.contracts.shipment import Address
from celery_config.errors import Refused
from celery_config.http.sandbox_client import SandboxClient
from celery_config.http.webhooks import convert_data
from shipment_app.carriers.base import Booked, CarrierEvent, Operation, ShipmentRecord

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


class SandboxCarrier(SandboxClient[ShipmentRecord]):
    path = "/carrier/shipments"
    secret_setting = "SHIPMENT_WEBHOOK_SECRET"

    def book(
        self, *, key: UUID | str, order: UUID, address: Address, weight_grams: int, parcels: int
    ) -> Booked:
        body = {
            "reference": str(order),
            "address": asdict(address),
            "weight_grams": weight_grams,
            "parcels": parcels,
        }
        shipment = self._post(self.path, body, key)
        return Booked(shipment["id"], shipment["tracking_number"])

    def cancel(self, *, key: UUID | str, carrier_id: str) -> None:
        self._post(f"{self.path}/{carrier_id}/cancel", {}, key)

    def dispatch(self, *, key: UUID | str, carrier_id: str) -> None:
        self._post(f"{self.path}/{carrier_id}/dispatch", {}, key)

    def read_event(self, body: bytes, headers: Mapping[str, str]) -> CarrierEvent | None:
        envelope = self.open_event(body, headers)
        operation = OPERATIONS.get(envelope.type)
        if operation is None:
            return None
        data = convert_data(envelope, EventData)
        return CarrierEvent(
            id=envelope.id,
            kind=envelope.type,
            key=envelope.idempotency_key,
            order=parse_uuid(data.reference),
            refused=Refused(data.code, data.reason) if data.code else None,
            operation=operation,
            booked=Booked(data.id, data.tracking_number),
            weight_grams=data.weight_grams,
            parcels=data.parcels,
        )

    def make_entry(self, item: dict[str, Any]) -> ShipmentRecord:
        return ShipmentRecord(
            carrier_id=item["id"],
            order=parse_uuid(item["reference"]),
            state=item["status"],
            tracking_number=item["tracking_number"],
            weight_grams=item["weight_grams"],
            parcels=item["parcels"],
        )
