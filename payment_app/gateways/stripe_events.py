"""Stripe's webhooks: its library verifies each one before it is read.

An event names the idempotency key of the request that caused it. Old versions of the API name only the request, and an
event that comes later than the answer names none; then the key is in the metadata that we gave the object.
Source: https://docs.stripe.com/api/events/object and https://docs.stripe.com/api/events/types
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any

import msgspec
import stripe

from celery_config.common.identifiers import parse_uuid
from celery_config.errors import EventUnreadable, SignatureInvalid, SignatureStale
from celery_config.http.webhooks import TOLERANCE_SECONDS, Name, convert, read_json
from payment_app.gateways.base import Operation, ProviderEvent
from payment_app.gateways.currencies import convert_from_provider
from payment_app.gateways.stripe_answers import STATUSES, Proof, make_decline
from payment_app.gateways.stripe_currencies import CURRENCIES

OPERATIONS: dict[str, Operation] = {
    "payment_intent.amount_capturable_updated": "authorize",
    "payment_intent.payment_failed": "authorize",
    "payment_intent.succeeded": "capture",
    "payment_intent.canceled": "void",
    "refund.created": "refund",
}
# Operations whose key is in the metadata of what they made; a capture and a void only change it.
KEPT_KEY = {"authorize", "refund"}


@dataclass(frozen=True)
class Thing:
    """A PaymentIntent or a Refund."""

    id: Name
    amount: int
    currency: Name
    metadata: dict[str, Any] | None = None
    status: str | None = None
    amount_received: int | None = None
    payment_intent: Name | None = None
    last_payment_error: dict[str, Any] | None = None


@dataclass(frozen=True)
class Data:
    object: Thing


@dataclass(frozen=True)
class Event:
    id: Annotated[str, msgspec.Meta(min_length=1, max_length=255, pattern=r"^[\x21-\x7e]+\Z")]
    type: str
    data: Data
    request: Any = None
    """Since 2017-05-25 an object with `idempotency_key`, before that the id of the request."""


def read_event(body: bytes, signature: str, secret: str) -> ProviderEvent | None:
    """Verify a webhook and return its event; None when it says nothing of the end of one of our calls.

    Raises:
        SignatureInvalid, SignatureStale: Stripe did not sign it, or not now.
        EventUnreadable: Stripe signed it, and it is about a call, but it cannot be read.
    """
    verify_signature(body, signature, secret)
    content = read_json(body)
    if not isinstance(content, dict):
        raise EventUnreadable("the body is no JSON object")
    kind = content.get("type")
    # Of other types nothing else is read, so their form does not matter.
    operation = OPERATIONS.get(kind) if isinstance(kind, str) else None
    return make_event(convert(content, Event), operation) if operation else None


def verify_signature(body: bytes, signature: str, secret: str) -> None:
    if not signature.isascii():  # the library compares texts, which Python does for ASCII alone
        raise SignatureInvalid("the signature has letters that no signature has")
    try:
        stripe.WebhookSignature.verify_header(body, signature, secret, TOLERANCE_SECONDS)
    except stripe.SignatureVerificationError as error:
        stale = str(error).startswith("Timestamp outside")
        raise (SignatureStale if stale else SignatureInvalid)(str(error)) from error
    except UnicodeDecodeError as error:
        raise EventUnreadable(f"the body is no event: {error}") from error


def make_event(event: Event, operation: Operation) -> ProviderEvent | None:
    thing = event.data.object
    key = find_key(event, operation)
    if not key:
        return None
    currency = thing.currency.upper()
    made = ProviderEvent(
        id=event.id,
        kind=event.type,
        key=key,
        operation=operation,
        order=parse_uuid(read_metadata(thing, "order")),
        provider_id=thing.id,
        amount=convert_from_provider(CURRENCIES, thing.amount, currency),
        currency=currency,
    )
    if operation == "refund":
        paid = STATUSES["refund"].get(thing.status or "") == Proof.DONE
        return replace(made, provider_id=thing.payment_intent or "", refund_id=thing.id) if paid else None
    if operation == "capture":
        if thing.amount_received is None:
            raise EventUnreadable("the event lacks amount_received")
        return replace(made, amount=convert_from_provider(CURRENCIES, thing.amount_received, currency))
    if event.type != "payment_intent.payment_failed":
        return made
    error = thing.last_payment_error or {}
    # A card's error is stored under the key; any other error may be gone when the call is repeated.
    if error.get("type") != "card_error":
        return None
    return replace(
        made, refused=make_decline(error.get("decline_code"), error.get("code"), error.get("message"))
    )


def find_key(event: Event, operation: Operation) -> str:
    key = event.request.get("idempotency_key") if isinstance(event.request, dict) else None
    if isinstance(key, str):
        return key
    return read_metadata(event.data.object, "key") if operation in KEPT_KEY else ""


def read_metadata(thing: Thing, name: str) -> str:
    value = (thing.metadata or {}).get(name)
    return value if isinstance(value, str) else ""
