"""Parameters of any kind are taken or refused, and none is ignored or breaks the service."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from django.test import Client

pytestmark = pytest.mark.django_db
LAST_YEAR = UUID("ffffffff-ffff-7000-8000-000000000000")


@pytest.mark.parametrize(
    "since", ["0001-01-01T00:00:00Z", "0224-08-24T23:43:03+02:14", "9999-12-31T23:59:59Z", "2026-11-29"]
)
def test_sagas_can_have_begun_in_any_year(peer: Any, since: str) -> None:
    answer = peer.get("/api/barrier/", {"began_since": since})
    assert (answer.status_code, answer.json()["results"]) == (200, [])


@pytest.mark.parametrize("since", ["", "yesterday", "2026-13-01"])
def test_what_is_no_time_is_refused(peer: Any, since: str) -> None:
    answer = peer.get("/api/barrier/", {"began_since": since})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "began_since")


@pytest.mark.parametrize("after", ["no key", "\0", "}H"])
def test_what_is_no_key_of_a_copy_is_refused(peer: Any, after: str) -> None:
    answer = peer.get("/api/copies/billing_customer/", {"after": after})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "after")


@pytest.mark.parametrize("days", ["", "nan", "inf", "-inf", "1e400", "-1"])
def test_a_number_of_days_is_finite_and_not_negative(peer: Any, days: str) -> None:
    answer = peer.get("/api/provider-books/", {"days": days})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "days")


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("order", "", "empty_filter"),
        ("order", " ", "empty_filter"),
        ("order", "\x08", "invalid"),
        ("state", "", "empty_filter"),
        ("state", " ", "invalid_choice"),
        ("currency", "", "empty_filter"),
        ("currency", " ", "empty_filter"),
        ("currency", "\u200b", "empty_filter"),
    ],
)
def test_an_empty_filter_is_refused(peer: Any, name: str, value: str, code: str) -> None:
    (error,) = peer.get("/api/payments/", {name: value}).json()["errors"]
    assert (error["field"], error["code"]) == (name, code)


@pytest.mark.parametrize("kind", ["x", "order"])
def test_only_kinds_that_are_recorded_can_be_looked_for(admin_client: Client, kind: str) -> None:
    (error,) = admin_client.get("/api/changes/", {"kind": kind}).json()["errors"]
    assert (error["field"], error["code"]) == ("kind", "invalid_choice")
    assert "must be one of customer, product" in error["detail"]


def test_a_saga_of_the_last_year_that_an_id_can_hold_is_settled_by_no_one(peer: Any) -> None:
    answer = peer.post(
        "/api/barrier/settle/",
        {
            "task": "payment.authorize_payment",
            "saga": str(LAST_YEAR),
            "step": "authorize",
            "operation": "do",
            "subject": "none",
            "command": {},
            "answer": {},
            "note": "tried",
        },
        format="json",
    )
    assert (answer.status_code, answer.json()["code"]) == (409, "operator_refused")
