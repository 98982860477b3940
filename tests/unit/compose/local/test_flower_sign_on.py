"""Flower's sign-on, with a provider of OpenID Connect and a Flower that run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from compose.local import ports
from compose.local.environment import ROOT
from compose.local.flower import missing_settings
from tests.oidc_provider import Provider, read_parameters, serve_provider, wait_for

ADA = "7f1c"
CLAIMS: Any = {"email": "ada@example.com", "email_verified": True, "groups": ["shop-ops"]}


@pytest.fixture(scope="module")
def running() -> Iterator[Provider]:
    with serve_provider() as provider:
        yield provider


@pytest.fixture
def provider(running: Provider) -> Provider:
    running.break_token()
    running.set_user(ADA, **CLAIMS)
    return running


@pytest.fixture(scope="module")
def flower(running: Provider) -> Iterator[str]:
    """Return its address."""
    port = ports.free_port()
    own = {
        "FLOWER_BROKER_URL": "memory://",
        "FLOWER_PORT": str(port),
        "FLOWER_PUBLIC_URL": f"http://127.0.0.1:{port}",
        "FLOWER_AUTH": ".*@example.com",
        "OIDC_ISSUER": running.issuer,
        "OIDC_CLIENT_ID": "flower",
        "OIDC_CLIENT_SECRET": "secret",
        "OIDC_GROUPS": "shop-ops=operator",
    }
    process = subprocess.Popen(
        [sys.executable, "manage.py", "flower"],
        cwd=ROOT,
        env={**os.environ, **own},
        stderr=subprocess.DEVNULL,
    )
    url = own["FLOWER_PUBLIC_URL"]
    try:
        wait_for(f"{url}/healthcheck")
        yield url
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def browser(flower: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=flower, timeout=15) as client:
        yield client


def go(browser: httpx.Client, provider: Provider) -> str:
    """Begin a sign-on and let the provider know the person; return where it sends them."""
    asked = browser.get("/login", params={"next": "/tasks"})
    assert asked.status_code == 302, asked.text
    return provider.let_in(asked.headers["Location"], ADA)


def test_who_signs_on_sees_the_tasks(browser: httpx.Client, provider: Provider) -> None:
    assert browser.get("/tasks").headers["Location"].startswith("/login")
    assert browser.get(go(browser, provider)).status_code == 302
    assert browser.get("/tasks").status_code == 200


@pytest.mark.parametrize(
    "fault",
    [
        {"nonce": "another"}, {"iss": "https://elsewhere.example"}, {"aud": "order"}, {"exp": 1}, {"foreign_key": True},
    ],
    ids=lambda fault: next(iter(fault)),
)  # fmt: skip
def test_a_token_that_is_wrong_in_one_way_is_refused(
    browser: httpx.Client, provider: Provider, fault: dict[str, Any]
) -> None:
    provider.break_token(**fault)
    assert browser.get(go(browser, provider)).status_code == 403
    assert browser.get("/tasks").status_code == 302


def test_a_wrong_state_is_refused(browser: httpx.Client, provider: Provider) -> None:
    back = go(browser, provider)
    assert browser.get(back.replace(read_parameters(back)["state"], "another")).status_code == 403
    assert browser.get("/tasks").status_code == 302


@pytest.mark.parametrize(
    "claims",
    [
        {"groups": ["other"]},
        {"email": "eve@elsewhere.example"},
        *({"email_verified": value} for value in (False, "false", "no", [False])),
    ],
)
def test_others_are_refused(browser: httpx.Client, provider: Provider, claims: dict[str, Any]) -> None:
    provider.set_user(ADA, **{**CLAIMS, **claims})
    assert browser.get(go(browser, provider)).status_code == 403
    assert browser.get("/tasks").status_code == 302


def test_what_a_sign_on_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FLOWER_PUBLIC_URL", "OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET", "FLOWER_BROKER_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OIDC_ISSUER", "https://id.example.com")
    monkeypatch.setenv("FLOWER_AUTH", ".*@example.com")
    lacking = ["FLOWER_BROKER_URL", "FLOWER_PUBLIC_URL", "OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET"]
    assert missing_settings() == lacking
