"""The sandbox provider (compose/sandbox) as a gateway."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from celery_config.common.identifiers import order_id
from celery_config.http.client import CALL_SECONDS
from celery_config.http.json_client import JsonClient, Outcomes
from celery_config.http.webhooks import data_as, opened
from payment_app.gateways.base import Authorized, BookEntry, Operation, ProviderEvent, Refunded
from payment_app.gateways.errors import CallFailed, Declined, OutcomeUnknown

AUTHORIZATIONS = "/provider/authorizations"
PAGE = "500"
OPERATIONS: dict[str, Operation] = {
    "authorization.authorized": "authorize",
    "authorization.refused": "authorize",
    "authorization.captured": "capture",
    "authorization.voided": "void",
    "refund.refunded": "refund",
}


@dataclass(frozen=True, slots=True)
class EventData:
    """An authorization, a refund of `authorization`, or a refused request with `code` and `reason`."""

    reference: str
    amount: int
    currency: str
    id: str = ""
    authorization: str = ""
    captured: int = 0
    code: str = ""
    reason: str = ""


class SandboxGateway:
    """Speaks to the sandbox at `url`.

    Args:
        seconds: limit of one call in total.
        webhook_secret: with which its webhooks are signed; without one none is believed.
    """

    def __init__(self, url: str, *, seconds: float = CALL_SECONDS, webhook_secret: str = "") -> None:
        self._webhook_secret = webhook_secret
        self._http = JsonClient(url, Outcomes(Declined, OutcomeUnknown, CallFailed), seconds=seconds)

    def authorize(
        self, *, key: UUID | str, order: UUID, amount: int, currency: str, token: str
    ) -> Authorized:
        body = {
            "amount": amount,
            "currency": currency,
            "token": token,
            "reference": str(order),
            "metadata": {"order": str(order)},
        }
        return Authorized(self._http.post(AUTHORIZATIONS, body, key=str(key))["id"])

    def capture(self, *, key: UUID | str, provider_id: str, amount: int) -> None:
        self._http.post(f"{AUTHORIZATIONS}/{provider_id}/capture", {"amount": amount}, key=str(key))

    def void(self, *, key: UUID | str, provider_id: str) -> None:
        self._http.post(f"{AUTHORIZATIONS}/{provider_id}/void", {}, key=str(key))

    def refund(self, *, key: UUID | str, provider_id: str, amount: int) -> Refunded:
        body = {"authorization": provider_id, "amount": amount}
        return Refunded(self._http.post("/provider/refunds", body, key=str(key))["id"])

    def find(self, order: UUID) -> list[BookEntry]:
        return [
            _entry(item)
            for item in self._http.items(AUTHORIZATIONS, {"reference": str(order), "limit": PAGE})
        ]

    def books(self, since: datetime | None = None) -> Iterator[BookEntry]:
        params = {"limit": PAGE} | ({"since": since.isoformat()} if since else {})
        return (_entry(item) for item in self._http.items(AUTHORIZATIONS, params))

    def event(self, body: bytes, headers: Mapping[str, str]) -> ProviderEvent | None:
        told = opened(body, headers, self._webhook_secret, now=time.time())
        if told.type not in OPERATIONS:
            return None
        data = data_as(EventData, told)
        operation = OPERATIONS[told.type]
        return ProviderEvent(
            id=told.id,
            kind=told.type,
            key=told.idempotency_key,
            operation=operation,
            order=order_id(data.reference),
            provider_id=data.authorization or data.id,
            amount=data.captured if operation == "capture" else data.amount,
            currency=data.currency,
            refund_id=data.id if operation == "refund" else "",
            declined=Declined(data.code, data.reason) if data.code else None,
        )

    def close(self) -> None:
        self._http.close()


def _entry(item: dict[str, Any]) -> BookEntry:
    return BookEntry(
        provider_id=item["id"],
        order=order_id(item["reference"]),
        state=item["status"],
        amount=item["amount"],
        captured=item["captured"],
        refunded=item["refunded"],
        currency=item["currency"],
    )
