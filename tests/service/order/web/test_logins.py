"""Failed logins: counted for all processes, by name and address; a lock ends, and harms no other."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from axes.models import AccessAttempt
from django.conf import settings
from django.contrib.auth.models import User
from django.core.cache import cache
from django.test import Client
from rest_framework.settings import api_settings
from structlog.testing import capture_logs

from celery_config.web.logins import SHARES

pytestmark = pytest.mark.django_db
LIMIT = settings.AXES_FAILURE_LIMIT
HERE, ELSEWHERE = "10.0.0.1", "10.0.0.2"
RIGHT = "analytical"


@pytest.fixture(autouse=True)
def users() -> None:
    cache.clear()
    for name in ("ada", "bob"):
        User.objects.create_superuser(name, password=RIGHT)


@pytest.fixture(params=["admin", "token"])
def log_in(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    # Which counts tokens, whether they are given or not.
    monkeypatch.setattr("celery_config.web.throttling.SharedRateThrottle.allow_request", lambda *_: True)

    def attempt(name: str, password: str, address: str = HERE) -> int:
        client, given = Client(REMOTE_ADDR=address), {"username": name, "password": password}
        if request.param == "admin":
            answer = client.post("/admin/login/", given)
            return {302: 200, 200: 400}.get(answer.status_code, answer.status_code)
        return client.post("/api/token/", given, content_type="application/json").status_code

    return attempt


def test_wrong_passwords_lock_their_name_at_their_address_alone(log_in: Any) -> None:
    assert [log_in("ada", "wrong") for _ in range(LIMIT)] == [400] * (LIMIT - 1) + [429]
    assert log_in("ada", RIGHT) == 429
    assert log_in("bob", RIGHT) == 200
    assert log_in("ada", RIGHT, ELSEWHERE) == 200
    assert log_in("bob", RIGHT, ELSEWHERE) == 200


def test_another_address_of_the_same_network_is_the_same_client(log_in: Any) -> None:
    """A client has a whole network of IPv6, and could write each request from another address."""
    for number in range(LIMIT):
        log_in("ada", "wrong", f"2001:db8::{number + 1}")
    assert log_in("ada", RIGHT, "2001:db8::ffff") == 429
    assert log_in("ada", RIGHT, "2001:db8:0:1::1") == 200


def test_a_lock_ends_and_tries_meanwhile_make_it_no_longer(log_in: Any) -> None:
    for _ in range(LIMIT + 3):
        log_in("ada", "wrong")
    assert AccessAttempt.objects.get().failures_since_start == LIMIT
    AccessAttempt.objects.update(
        attempt_time=AccessAttempt.objects.get().attempt_time - settings.AXES_COOLOFF_TIME
    )
    assert log_in("ada", RIGHT) == 200
    assert not AccessAttempt.objects.exists()


def test_a_login_forgets_the_failures_before_it_and_no_others(log_in: Any) -> None:
    log_in("ada", "wrong")
    log_in("bob", "wrong")
    assert log_in("ada", RIGHT) == 200
    assert [attempt.username for attempt in AccessAttempt.objects.all()] == ["bob"]


def test_one_address_cannot_try_any_number_of_names(log_in: Any) -> None:
    AccessAttempt.objects.bulk_create(
        AccessAttempt(username=f"user{n}", ip_address=HERE, failures_since_start=1)
        for n in range(LIMIT * SHARES[1])
    )
    assert (log_in("ada", RIGHT), log_in("ada", RIGHT, ELSEWHERE)) == (429, 200)


def test_one_name_cannot_be_tried_from_any_number_of_addresses(log_in: Any) -> None:
    AccessAttempt.objects.bulk_create(
        AccessAttempt(username="ada", ip_address=f"10.0.1.{n}", failures_since_start=1)
        for n in range(LIMIT * SHARES[2])
    )
    assert (log_in("ada", RIGHT), log_in("bob", RIGHT)) == (429, 200)


@pytest.mark.parametrize("name", ["ada", "s3cret typed as a name", "x" * 5000])
def test_a_failure_is_logged_without_what_may_be_a_password(log_in: Any, name: str) -> None:
    with capture_logs() as logs:
        log_in(name, "s3cret password")
    kept = str(list(AccessAttempt.objects.values())) + str(logs)
    assert "s3cret" not in kept
    assert "x" * 30 not in kept
    for event in [each for each in logs if each["event"] == "a login failed"]:
        assert event["address"] == HERE
        assert event["user"] == "ada" or event["user"].startswith("unknown ")
        assert (event["user"] == "ada") is (name == "ada")


def test_a_client_does_not_choose_its_address() -> None:
    client = Client(REMOTE_ADDR=HERE)
    for n in range(LIMIT):
        answer = client.post(
            "/admin/login/", {"username": "ada", "password": "wrong"}, HTTP_X_FORWARDED_FOR=f"10.0.9.{n}"
        )
    assert answer.status_code == 429


@pytest.mark.parametrize(("port", "counted_for"), [("8443", "10.0.9.9"), ("8100", HERE)])
def test_a_proxy_says_who_called_and_at_the_internal_port_there_is_none(
    port: str, counted_for: str, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.INTERNAL_PORT = 8100
    monkeypatch.setattr(api_settings, "NUM_PROXIES", 1)
    client = Client(REMOTE_ADDR=HERE)
    given = {"username": "ada", "password": "wrong"}
    client.post("/admin/login/", given, SERVER_PORT=port, HTTP_X_FORWARDED_FOR="1.2.3.4, 10.0.9.9")
    assert AccessAttempt.objects.get().ip_address == counted_for


def test_a_locked_name_keeps_its_sessions_and_tokens() -> None:
    """Whoever locks a name from many addresses keeps its user from new logins, and from nothing else."""
    client, given = Client(REMOTE_ADDR=HERE), {"username": "ada", "password": RIGHT}
    assert client.post("/admin/login/", given).status_code == 302
    token = client.post("/api/token/", given, content_type="application/json").json()["token"]
    AccessAttempt.objects.bulk_create(
        AccessAttempt(username="ada", ip_address=f"10.0.1.{n}", failures_since_start=1)
        for n in range(LIMIT * SHARES[2])
    )
    assert Client(REMOTE_ADDR=ELSEWHERE).post("/admin/login/", given).status_code == 429
    assert client.get("/admin/").status_code == 200
    bearer = {"HTTP_AUTHORIZATION": f"Token {token}"}
    assert Client(REMOTE_ADDR=ELSEWHERE).get("/api/orders/", **bearer).status_code == 200


def test_a_person_and_a_program_are_told_how_long() -> None:
    AccessAttempt.objects.create(username="ada", ip_address=HERE, failures_since_start=LIMIT)
    client, given = Client(REMOTE_ADDR=HERE), {"username": "ada", "password": RIGHT}
    seconds = str(int(timedelta(minutes=15).total_seconds()))
    page = client.post("/admin/login/", given)
    assert "Wait 15 minutes" in page.content.decode()
    problem = client.post("/api/token/", given, content_type="application/json")
    assert problem.json()["code"] == "login_locked"
    assert page.headers["Retry-After"] == problem.headers["Retry-After"] == seconds
