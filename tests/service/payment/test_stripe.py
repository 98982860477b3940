"""Stripe's answers through the whole handler: whatever they hold, the step ends, and its end is stored."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from celery_config.errors import OutcomeUnknown, Refused
from celery_config.messaging.models import BarrierRow, OutboxMessage
from payment_app.gateways import gateway
from tests.service.payment.shop import Shop
from tests.unit.payment_app import test_gateways
from tests.unit.payment_app.stripe_server import API_KEY, StripeServer, stripe_server

ANSWERS = json.loads(Path(test_gateways.__file__).with_name("stripe_answers.json").read_text())


@pytest.fixture
def server(shop: Shop, settings: Any) -> Iterator[StripeServer]:
    with stripe_server() as server:
        settings.PAYMENT_GATEWAY, settings.STRIPE_API_KEY = "stripe", API_KEY
        settings.STRIPE_API_BASE = server.url
        gateway.cache_clear()
        yield server
    gateway.cache_clear()


@pytest.mark.parametrize("kind", ANSWERS)
def test_a_strange_refusal_is_stored_and_announced(shop: Shop, server: StripeServer, kind: str) -> None:
    server.answer = ANSWERS[kind]
    with pytest.raises(Refused) as refused:
        shop.authorize("pm_card_visa")
    assert refused.value.code == "card_declined"
    assert BarrierRow.objects.get().reply == {"code": "card_declined", "reason": refused.value.reason}
    event = OutboxMessage.objects.get(name="payment.payment_refused")
    assert event.payload["data"]["code"] == "card_declined"


@pytest.mark.parametrize("answer", [{"error": "no"}, {"error": None}])
def test_an_error_that_cannot_be_read_is_asked_about_again(
    shop: Shop, server: StripeServer, answer: dict[str, Any]
) -> None:
    server.answer = (402, answer)
    with pytest.raises(OutcomeUnknown):
        shop.authorize("pm_card_visa")
    assert not OutboxMessage.objects.filter(kind="event").exists()
