"""The bare payment service."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from payment_app import selectors, services
from payment_app.gateways import gateway
from tests.bench.bare.app import app


@app.task(name="bare.payment.authorize")
def authorize_payment(
    replies: dict[str, Any], *, order: str, customer: str, amount: int, currency: str, token: str
) -> dict[str, Any]:
    held = gateway().authorize(
        key=f"{order}/authorize", order=UUID(order), amount=amount, currency=currency, token=token
    )
    (payment,) = services.record_authorizations(
        services.HeldAmount(
            order=UUID(order),
            customer=UUID(customer),
            amount=amount,
            currency=currency,
            provider_id=held.provider_id,
        )
    )
    return replies | {"payment": str(payment.id)}


@app.task(name="bare.payment.capture")
def capture_payment(replies: dict[str, Any], *, order: str) -> dict[str, Any]:
    payment = selectors.find_payment(UUID(order))
    assert payment is not None
    gateway().capture(
        key=f"{order}/capture",
        provider_id=payment.provider_id,
        amount=payment.amount,
        currency=payment.currency,
    )
    services.record_captures({payment.id: payment.amount})
    return replies | {"captured": payment.amount}
