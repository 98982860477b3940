"""Stripe's webhooks: its library verifies each one before it is read.

An event names the idempotency key of the request that caused it; an event that no request of ours caused has no key.
Source: https://docs.stripe.com/api/events/object and https://docs.stripe.com/api/events/types
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import stripe

from celery_config.common.identifiers import parse_uuid
from celery_config.errors import EventUnreadable, SignatureInvalid, SignatureStale
from celery_config.http.webhooks import TOLERANCE_SECONDS
from payment_app.gateways.base import Operation, ProviderEvent
from payment_app.gateways.stripe_answers import make_decline

OPERATIONS: dict[str, Operation] = {
    "payment_intent.amount_capturable_updated": "authorize",
    "payment_intent.payment_failed": "authorize",
    "payment_intent.succeeded": "capture",
    "payment_intent.canceled": "void",
    "refund.created": "refund",
}
NOT_PAID = {"failed", "canceled"}


def read_event(body: bytes, signature: str, secret: str) -> ProviderEvent | None:
    """Verify a webhook and return its event; None when it says nothing of the end of one of our calls.

    Raises:
        SignatureInvalid, SignatureStale: Stripe did not sign it, or not now.
        EventUnreadable: Stripe signed it, but it cannot be read.
    """
    event = verify_event(body, signature, secret)
    try:
        operation = OPERATIONS.get(event["type"])
        key = (event["request"] or {}).get("idempotency_key")
        return make_event(event, operation, key) if operation and key else None
    except (KeyError, TypeError, AttributeError) as error:
        raise EventUnreadable(f"the event lacks {error}, or has it in another form") from error


def verify_event(body: bytes, signature: str, secret: str) -> dict[str, Any]:
    """Verify the signature and return the event as plain JSON."""
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


def make_event(event: dict[str, Any], operation: Operation, key: str) -> ProviderEvent | None:
    thing = event["data"]["object"]
    made = ProviderEvent(
        id=event["id"],
        kind=event["type"],
        key=key,
        operation=operation,
        order=parse_uuid((thing["metadata"] or {}).get("order", "")),
        provider_id=thing["id"],
        amount=thing["amount"],
        currency=thing["currency"].upper(),
    )
    if operation == "refund":
        paid = thing["status"] not in NOT_PAID
        return replace(made, provider_id=thing["payment_intent"], refund_id=thing["id"]) if paid else None
    if operation == "capture":
        return replace(made, amount=thing["amount_received"])
    if event["type"] != "payment_intent.payment_failed":
        return made
    error = thing["last_payment_error"]
    # A card's error is stored under the key; any other error may be gone when the call is repeated.
    if error["type"] != "card_error":
        return None
    return replace(
        made, refused=make_decline(error.get("decline_code"), error.get("code"), error.get("message"))
    )
