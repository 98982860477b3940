"""What the provider tells unasked, as hints about our own steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from celery_config.contracts.payment import AuthorizePayment, CapturePayment, RefundPayment, VoidPayment
from celery_config.http.webhooks import our_key
from celery_config.messaging.barrier.webhooks import OutcomeNotification
from payment_app import selectors
from payment_app.gateways import ProviderEvent
from payment_app.provider import gateway


def read(body: bytes, headers: Mapping[str, str]) -> OutcomeNotification | None:
    """Return what a webhook tells of one of our calls; None when it tells of none.

    Raises:
        WebhookRefused: it is not to be believed, or cannot be read.
    """
    event = gateway().event(body, headers)
    key = our_key(event.key) if event else None
    if event is None or key is None:
        return None
    order = event.order or selectors.order_of(event.provider_id)
    return hint(event, key, order) if order else None


def hint(event: ProviderEvent, key: UUID, order: UUID) -> OutcomeNotification:
    said: dict[str, Any] = {"order": str(order), "currency": event.currency}
    match event.operation:
        case "authorize":
            answer = event.declined or {"provider_id": event.provider_id}
            facts = said | {"amount": event.amount}
            return OutcomeNotification(event.id, event.kind, key, AuthorizePayment, order, facts, answer)
        case "capture":
            facts = said | {"amount": event.amount, "provider_id": event.provider_id}
            return OutcomeNotification(event.id, event.kind, key, CapturePayment, order, facts)
        case "refund":
            facts = said | {"refund_amount": event.amount, "provider_id": event.provider_id}
            return OutcomeNotification(
                event.id, event.kind, key, RefundPayment, order, facts, {"refund_id": event.refund_id}
            )
        case "void":
            facts = {"order": str(order), "provider_id": event.provider_id}
            undo = VoidPayment(order=order)
            return OutcomeNotification(event.id, event.kind, key, AuthorizePayment, order, facts, undo=undo)
