"""The sandbox provider (compose/sandbox) as a gateway."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from celery_config.common.identifiers import parse_uuid
from celery_config.common.money import currency_digits
from celery_config.http.sandbox_client import SandboxClient
from celery_config.http.webhooks import Name, convert
from payment_app.gateways.base import AuthorizationRecord, Authorized, Operation, ProviderEvent, Refunded
from payment_app.gateways.currencies import Currencies, ProviderUnit

OPERATIONS: dict[str, Operation] = {
    "authorization.authorized": "authorize",
    "authorization.refused": "authorize",
    "authorization.captured": "capture",
    "authorization.voided": "void",
    "refund.refunded": "refund",
}
# It counts every currency as ISO 4217 does.
CURRENCIES: Currencies = {code: ProviderUnit(digits) for code, digits in currency_digits().items()}


@dataclass(frozen=True, slots=True)
class EventData:
    """An authorization, a refund of `authorization`, or a refused request with `code` and `reason`."""

    reference: str
    amount: int
    currency: Name
    id: Name = ""
    authorization: Name = ""
    captured: int = 0
    code: Any = None
    reason: Any = None


@dataclass(frozen=True, slots=True)
class Made:
    """What the sandbox made or changed."""

    id: Name


class SandboxGateway(SandboxClient[AuthorizationRecord]):
    path = "/provider/authorizations"
    secret_setting = "PAYMENT_WEBHOOK_SECRET"
    currencies = CURRENCIES
    codes = frozenset(
        {
            "card_declined", "insufficient_funds", "invalid_token", "authorization_expired", "already_captured",
            "already_voided", "not_captured", "amount_too_large",
        }
    )  # fmt: skip
    unknown_code = "card_declined"

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
        return Authorized(self._post(self.path, body, key, Made).id)

    def capture(self, *, key: UUID | str, provider_id: str, amount: int, currency: str) -> None:
        self._post(f"{self.path}/{provider_id}/capture", {"amount": amount}, key, Made)

    def void(self, *, key: UUID | str, provider_id: str) -> None:
        self._post(f"{self.path}/{provider_id}/void", {}, key, Made)

    def refund(self, *, key: UUID | str, provider_id: str, amount: int, currency: str) -> Refunded:
        body = {"authorization": provider_id, "amount": amount}
        return Refunded(self._post("/provider/refunds", body, key, Made).id)

    def read_event(self, body: bytes, headers: Mapping[str, str]) -> ProviderEvent | None:
        envelope = self.open_event(body, headers)
        operation = OPERATIONS.get(envelope.type)
        if operation is None:
            return None
        data = convert(envelope.data, EventData)
        return ProviderEvent(
            id=envelope.id,
            kind=envelope.type,
            key=envelope.idempotency_key,
            order=parse_uuid(data.reference),
            refused=self.make_refusal(data.code, data.reason) if data.code else None,
            operation=operation,
            provider_id=data.authorization or data.id,
            amount=data.captured if operation == "capture" else data.amount,
            currency=data.currency,
            refund_id=data.id if operation == "refund" else "",
        )

    def make_entry(self, item: dict[str, Any]) -> AuthorizationRecord:
        return AuthorizationRecord(
            provider_id=item["id"],
            order=parse_uuid(item["reference"]),
            state=item["status"],
            amount=item["amount"],
            captured=item["captured"],
            refunded=item["refunded"],
            currency=item["currency"],
        )
