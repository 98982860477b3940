"""Stripe's webhooks, verified by its library, as what they tell of our calls.

An event names the idempotency key of the request that caused it; one that no request of ours caused has none.
Source: https://docs.stripe.com/api/events/object and https://docs.stripe.com/api/events/types
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import stripe

from celery_config.common.identifiers import order_id
from celery_config.errors import EventUnreadable, SignatureInvalid, SignatureStale
from celery_config.http.webhooks import TOLERANCE_SECONDS
from payment_app.gateways.base import Operation, ProviderEvent
from payment_app.gateways.errors import Declined
from payment_app.gateways.stripe_errors import decline_code

OPERATIONS: dict[str, Operation] = {
    "payment_intent.amount_capturable_updated": "authorize",
    "payment_intent.payment_failed": "authorize",
    "payment_intent.succeeded": "capture",
    "payment_intent.canceled": "void",
    "refund.created": "refund",
}
NOT_PAID = {"failed", "canceled"}


def event(body: bytes, signature: str, secret: str) -> ProviderEvent | None:
    """Return what a webhook tells of one of our calls; None when it tells nothing of its end.

    Raises:
        SignatureInvalid, SignatureStale: it is not to be believed.
        EventUnreadable: it is Stripe's, but cannot be read.
    """
    told = verified(body, signature, secret)
    try:
        operation = OPERATIONS.get(told["type"])
        key = (told["request"] or {}).get("idempotency_key")
        return read(told, operation, key) if operation and key else None
    except (KeyError, TypeError, AttributeError) as error:
        raise EventUnreadable(f"the event lacks or mistakes {error}") from error


def verified(body: bytes, signature: str, secret: str) -> dict[str, Any]:
    """Return the event as plain JSON."""
    try:
        made = stripe.Webhook.construct_event(  # type: ignore[no-untyped-call]
            body, signature, secret, TOLERANCE_SECONDS
        )
    except stripe.SignatureVerificationError as error:
        stale = str(error).startswith("Timestamp outside")
        raise (SignatureStale if stale else SignatureInvalid)(str(error)) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise EventUnreadable(f"the body is no event: {error}") from error
    plain: dict[str, Any] = made.to_dict()
    return plain


def read(told: dict[str, Any], operation: Operation, key: str) -> ProviderEvent | None:
    thing = told["data"]["object"]
    made = ProviderEvent(
        id=told["id"],
        kind=told["type"],
        key=key,
        operation=operation,
        order=order_id((thing["metadata"] or {}).get("order", "")),
        provider_id=thing["id"],
        amount=thing["amount"],
        currency=thing["currency"].upper(),
    )
    if operation == "refund":
        paid = thing["status"] not in NOT_PAID
        return replace(made, provider_id=thing["payment_intent"], refund_id=thing["id"]) if paid else None
    if operation == "capture":
        return replace(made, amount=thing["amount_received"])
    if told["type"] != "payment_intent.payment_failed":
        return made
    error = thing["last_payment_error"]
    # Any other error may be gone when the call is repeated; a card's is stored under the key.
    if error["type"] != "card_error":
        return None
    code = decline_code(error.get("decline_code"), error.get("code"))
    return replace(made, declined=Declined(code, error.get("message") or code))
