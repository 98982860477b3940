"""The sandbox provider (compose/sandbox) as a gateway."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from celery_config.http_client import CALL_SECONDS, JsonClient, Outcomes, order_id
from payment_app.gateways.base import Authorized, BookEntry, Refunded
from payment_app.gateways.errors import CallFailed, Declined, Unknown

AUTHORIZATIONS = "/provider/authorizations"
PAGE = "500"


class SandboxGateway:
    """Speaks to the sandbox at `url`; `seconds` limits one call in total."""

    def __init__(self, url: str, *, seconds: float = CALL_SECONDS) -> None:
        self._http = JsonClient(url, Outcomes(Declined, Unknown, CallFailed), seconds=seconds)

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
