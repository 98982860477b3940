"""With TLS on: who is answered over plain HTTP, and who is refused."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from celery_config.settings.web import web_settings

pytestmark = pytest.mark.django_db
INTERNAL_PORT = 8100
ADDRESS = "/api/outbox/"


@pytest.fixture(autouse=True)
def _behind_a_proxy(settings: Any) -> None:
    settings.TLS = True
    settings.INTERNAL_PORT = INTERNAL_PORT
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    settings.ALLOWED_HOSTS = ["localhost", "order-web"]


def test_a_peer_is_answered_at_the_internal_port(peer: APIClient) -> None:
    answer = peer.get(ADDRESS, HTTP_HOST=f"order-web:{INTERNAL_PORT}", SERVER_PORT=str(INTERNAL_PORT))
    assert answer.status_code == 200


def test_what_came_to_the_proxy_over_https_is_answered(peer: APIClient) -> None:
    assert peer.get(ADDRESS, HTTP_HOST="localhost", HTTP_X_FORWARDED_PROTO="https").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"HTTP_HOST": "localhost"},
        {"HTTP_HOST": "localhost", "HTTP_X_FORWARDED_PROTO": "http"},
        {"HTTP_HOST": f"order-web:{INTERNAL_PORT}"},
        {"HTTP_HOST": "localhost", "HTTP_X_FORWARDED_PORT": str(INTERNAL_PORT)},
    ],
)
def test_a_plain_call_from_outside_is_refused_and_not_redirected(
    peer: APIClient, headers: dict[str, str]
) -> None:
    answer = peer.get(ADDRESS, **headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "https_required")
    assert "Location" not in answer


def test_a_page_is_refused_too(client: Client) -> None:
    assert client.get("/admin/login/", HTTP_HOST="localhost").status_code == 403


def test_probes_are_answered(client: Client) -> None:
    for page in ("/healthz", "/readyz", "/metrics"):
        assert client.get(page, HTTP_HOST="localhost").status_code == 200
    assert "flows" in client.get("/flowz", HTTP_HOST="localhost").json()


def test_without_tls_everybody_is_answered(peer: APIClient, settings: Any) -> None:
    settings.TLS = False
    assert peer.get(ADDRESS, HTTP_HOST="localhost").status_code == 200


def test_only_this_host_is_bound_to_https_unless_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def hsts() -> dict[str, Any]:
        made = web_settings("order", "order_project", (), tls=True)
        return {name: value for name, value in made.items() if name.startswith("SECURE_HSTS")}

    assert hsts() == {
        "SECURE_HSTS_SECONDS": 31_536_000,
        "SECURE_HSTS_INCLUDE_SUBDOMAINS": False,
        "SECURE_HSTS_PRELOAD": False,
    }
    monkeypatch.setenv("HSTS_INCLUDE_SUBDOMAINS", "true")
    assert hsts()["SECURE_HSTS_INCLUDE_SUBDOMAINS"]
