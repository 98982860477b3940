"""The sandbox carrier (compose/sandbox) as a carrier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

import msgspec

from celery_config.common.identifiers import parse_uuid
from celery_config.contracts.base import encode
from celery_config.contracts.shipment import Address
from celery_config.errors import Refused
from celery_config.http.sandbox_client import SandboxClient
from celery_config.http.webhooks import Name, convert
from shipment_app.carriers.base import Booked, CarrierEvent, Operation, ShipmentRecord

OPERATIONS: dict[str, Operation] = {
    "shipment.booked": "book",
    "shipment.refused": "book",
    "shipment.cancelled": "cancel",
    "shipment.dispatched": "dispatch",
}
MAX_PARCELS = 999
TrackingNumber = Annotated[str, msgspec.Meta(max_length=64, pattern=r"^[\x20-\x7e]*\Z")]


@dataclass(frozen=True, slots=True)
class EventData:
    """A shipment, or a refused request with `code` and `reason`."""

    reference: str
    weight_grams: int
    parcels: int
    id: Name = ""
    tracking_number: TrackingNumber = ""
    code: Any = None
    reason: Any = None


@dataclass(frozen=True, slots=True)
class Made:
    """What the sandbox made or changed."""

    id: Name
    tracking_number: TrackingNumber


class SandboxCarrier(SandboxClient[ShipmentRecord]):
    path = "/carrier/shipments"
    secret_setting = "SHIPMENT_WEBHOOK_SECRET"
    codes = frozenset({"address_unreachable", "parcel_too_heavy", "already_dispatched", "already_cancelled"})
    unknown_code = "booking_refused"

    def book(
        self, *, key: UUID | str, order: UUID, address: Address, weight_grams: int, parcels: int
    ) -> Booked:
        if parcels > MAX_PARCELS:
            raise Refused("parcel_too_heavy", f"{parcels} parcels; at most {MAX_PARCELS} are one shipment")
        body = {
            "reference": str(order),
            "address": encode(address),
            "weight_grams": weight_grams,
            "parcels": parcels,
        }
        shipment = self._post(self.path, body, key, Made)
        return Booked(shipment.id, shipment.tracking_number)

    def cancel(self, *, key: UUID | str, carrier_id: str) -> None:
        self._post(f"{self.path}/{carrier_id}/cancel", {}, key, Made)

    def dispatch(self, *, key: UUID | str, carrier_id: str) -> None:
        self._post(f"{self.path}/{carrier_id}/dispatch", {}, key, Made)

    def read_event(self, body: bytes, headers: Mapping[str, str]) -> CarrierEvent | None:
        envelope = self.open_event(body, headers)
        operation = OPERATIONS.get(envelope.type)
        if operation is None:
            return None
        data = convert(envelope.data, EventData)
        return CarrierEvent(
            id=envelope.id,
            kind=envelope.type,
            key=envelope.idempotency_key,
            order=parse_uuid(data.reference),
            refused=self.make_refusal(data.code, data.reason) if data.code else None,
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
