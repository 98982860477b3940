"""Flower's logins: guessing ends in a lock for its address, which ends; no page can be framed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from tornado import web

from compose.local.flower_logins import FailedLogins, guard

RIGHT, WRONG = "Basic right", "Basic wrong"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Flower:
    """The two methods of Flower's handlers that are guarded."""

    def __init__(self, address: str, login: str) -> None:
        headers = {"Authorization": login} if login else {}
        self.request = SimpleNamespace(remote_ip=address, headers=headers)
        self.headers: dict[str, str] = {}

    def get_current_user(self) -> Any:
        if self.request.headers.get("Authorization") != RIGHT:
            raise web.HTTPError(401)
        return True

    def set_default_headers(self) -> None:
        self.set_header("X-Content-Type-Options", "nosniff")

    def set_header(self, name: str, value: str) -> None:
        self.headers[name] = value


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def handler(clock: Clock) -> type[Flower]:
    guarded: type[Flower] = type("Guarded", (Flower,), {})
    guard(guarded, FailedLogins(3, 60.0, clock))
    return guarded


def log_in(handler: type[Flower], login: str, address: str = "10.0.0.1") -> int:
    try:
        handler(address, login).get_current_user()
    except web.HTTPError as error:
        return error.status_code
    return 200


def test_an_address_that_guesses_is_locked_and_no_other(handler: type[Flower]) -> None:
    assert [log_in(handler, WRONG) for _ in range(4)] == [401, 401, 401, 429]
    assert log_in(handler, RIGHT) == 429
    assert log_in(handler, RIGHT, "10.0.0.2") == 200


def test_the_lock_ends_and_tries_meanwhile_make_it_no_longer(handler: type[Flower], clock: Clock) -> None:
    for _ in range(3):
        log_in(handler, WRONG)
    clock.now = 59.0
    assert log_in(handler, WRONG) == 429
    clock.now = 60.0
    assert log_in(handler, RIGHT) == 200


def test_a_browser_that_asks_without_a_login_does_not_guess(handler: type[Flower]) -> None:
    assert [log_in(handler, "") for _ in range(9)] == [401] * 9
    assert log_in(handler, RIGHT) == 200


def test_a_login_forgets_the_failures_before_it(handler: type[Flower]) -> None:
    tries = (WRONG, WRONG, RIGHT, WRONG, WRONG, RIGHT)
    assert [log_in(handler, each) for each in tries] == [401, 401, 200, 401, 401, 200]


def test_no_page_can_be_framed(handler: type[Flower]) -> None:
    page = handler("10.0.0.1", RIGHT)
    page.set_default_headers()
    assert page.headers["X-Frame-Options"] == "DENY"
    assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
    assert page.headers["X-Content-Type-Options"] == "nosniff"
