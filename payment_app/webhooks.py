"""Webhook events of the provider, as outcomes of our own steps."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from celery_config.contracts.payment import AuthorizePayment, CapturePayment, RefundPayment, VoidPayment
from celery_config.messaging.barrier.webhooks import OutcomeNotification
from payment_app import selectors
from payment_app.gateways import ProviderEvent


def describe_outcome(event: ProviderEvent, key: UUID) -> OutcomeNotification | None:
    """The outcome that an event reports of the call with this key; None when its order is not known."""
    order = event.order or selectors.find_order(event.provider_id)
    if order is None:
        return None
    about = (event.id, event.kind, key)
    facts: dict[str, Any] = {"order": str(order), "currency": event.currency}
    match event.operation:
        case "authorize":
            answer = event.refused or {"provider_id": event.provider_id}
            facts |= {"amount": event.amount}
            return OutcomeNotification(*about, AuthorizePayment, order, facts, answer)
        case "capture":
            facts |= {"amount": event.amount, "provider_id": event.provider_id}
            return OutcomeNotification(*about, CapturePayment, order, facts)
        case "refund":
            facts |= {"refund_amount": event.amount, "provider_id": event.provider_id}
            return OutcomeNotification(*about, RefundPayment, order, facts, {"refund_id": event.refund_id})
        case "void":
            facts = {"order": str(order), "provider_id": event.provider_id}
            return OutcomeNotification(*about, AuthorizePayment, order, facts, undo=VoidPayment(order=order))
