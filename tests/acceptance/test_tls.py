"""A service with TLS on, asked as its peers, its provider and the world outside ask it."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from compose.local import ports
from tests.acceptance.shop import Shop

PAYMENTS = "/api/payments/"


@pytest.fixture
def outside(shop: Shop) -> Iterator[httpx.Client]:
    """Payment with TLS on. The port that its peers know is the internal one; a second one is for the world outside."""
    web, port = shop.process("payment-web"), ports.free_port()
    before, internal = web.argv, httpx.URL(shop.stack.url("payment")).port
    settings = {
        "ENVIRONMENT": "production",
        "TLS": "true",
        "INTERNAL_PORT": str(internal),
        "PAYMENT_HOSTS": ports.LOOPBACK,
    }
    web.argv = [*before, "--bind", f"{ports.LOOPBACK}:{port}"]
    token = shop.operator("payment")
    with shop.restarted_with(settings, "payment-web"):
        with httpx.Client(
            base_url=f"http://{ports.LOOPBACK}:{port}", headers=token, trust_env=False
        ) as client:
            yield client
        web.argv = before


def test_peers_and_provider_are_answered_and_a_plain_call_from_outside_is_refused(
    shop: Shop, outside: httpx.Client
) -> None:
    shop.all_confirmed([shop.place()])
    shop.audit()  # asks payment, at its internal port
    webhook = f"{shop.stack.url('payment')}/api/provider-events/"
    assert httpx.post(webhook, json={}, trust_env=False).json()["code"] == "invalid_signature"
    refused = outside.get(PAYMENTS)
    assert (refused.status_code, refused.json()["code"]) == (403, "https_required")
    assert outside.get(PAYMENTS, headers={"Host": f"{ports.LOOPBACK}:8100"}).status_code == 403
    behind_the_proxy = outside.get(PAYMENTS, headers={"X-Forwarded-Proto": "https"})
    assert behind_the_proxy.status_code == 200
    assert behind_the_proxy.headers["Strict-Transport-Security"] == "max-age=31536000"
