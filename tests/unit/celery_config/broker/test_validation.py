"""What a worker may be given, and what not; no message makes the check raise."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from kombu.message import Message

from celery_config.broker.incoming_headers import seconds_until
from celery_config.broker.validation import MAX_DEPTH, find_fault

TASK = "inventory.reserve_stock"


def message(body: Any = None, **headers: Any) -> Message:
    raw = json.dumps([[], {}, None]) if body is None else body
    return Message(
        body=raw,
        headers={"task": TASK, "id": "1", **headers},
        content_type="application/json",
        content_encoding="utf-8",
        accept={"application/json"},
    )


def test_a_task_that_is_not_ours() -> None:
    """Celery has tasks of its own in every app; with an ETA a worker would hold their messages until then."""
    assert find_fault(message(), {TASK}) is None
    assert (
        find_fault(message(task="celery.backend_cleanup"), {TASK}) == "unknown task 'celery.backend_cleanup'"
    )


@pytest.mark.parametrize(
    "headers",
    [
        {"id": "x" * 256},
        {"id": "an id\n"},
        {"root_id": "\ud800"},
        {"parent_id": "ä"},
        {"expires": "2020-01-01T00:00:00Z"},
        {"timelimit": [10, None]},
        {"eta": "9999-12-31T23:59:59-23:59"},
        {"eta": 5},
        {b"\xff": 1},
    ],
)
def test_headers_that_do_harm(headers: dict[Any, Any]) -> None:
    made = message()
    made.headers |= headers
    assert str(find_fault(made)).startswith("malformed headers: ")


@pytest.mark.parametrize("headers", [{"id": "x" * 255}, {"timelimit": [None, None]}, {"expires": None}])
def test_headers_that_do_not(headers: dict[str, Any]) -> None:
    assert find_fault(message(**headers)) is None


IN_AN_HOUR = datetime(2126, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


@pytest.mark.parametrize(
    "eta",
    [
        IN_AN_HOUR.isoformat(),
        IN_AN_HOUR.isoformat().replace("+00:00", "z"),
        IN_AN_HOUR.isoformat().replace("T", "t").replace("+00:00", "Z"),
        IN_AN_HOUR.replace(tzinfo=None).isoformat(),
        IN_AN_HOUR.replace(tzinfo=None),
    ],
    ids=["with an offset", "small z", "small t", "without an offset", "a time of AMQP"],
)
def test_whatever_is_taken_for_an_eta_can_be_waited_for(eta: Any) -> None:
    assert find_fault(message(eta=eta)) is None
    assert 10**9 < seconds_until(eta) < 10**10


@pytest.mark.parametrize("wide", [1, 1000])
def test_a_body_may_be_wide_but_not_deep(wide: int) -> None:
    def body(depth: int) -> bytes:
        return b"[[" + b"[]," * wide + b"[" * depth + b"]" * depth + b"], {}, null]"

    assert find_fault(message(body(MAX_DEPTH // 2))) is None
    assert find_fault(message(body(MAX_DEPTH + 1))) == f"malformed body: nested deeper than {MAX_DEPTH}"
    assert "RecursionError" in str(find_fault(message(body(5_000))))
