"""The event feed misses no event (rule 20, the feed)."""

from __future__ import annotations

import threading
import time
from typing import Any
from uuid import uuid4

import pytest
from django.db import transaction
from rest_framework.test import APIClient

from celery_config.messaging.outbox import writing
from tests.service.peer import bearer
from tests.service.together import concurrent, in_background
from tests.trip import HotelBooked

PATIENCE = 60.0
pytestmark = pytest.mark.django_db(transaction=True)


def announce(subject: str) -> None:
    writing.add_events([writing.cloud_event(HotelBooked(booking=uuid4()), subject=subject)])


def read(after: str = "", *, status: int = 200) -> tuple[list[str], str]:
    """The subjects after a cursor, and the last cursor."""
    client = APIClient()
    answer = client.get(
        "/api/events/",
        {"after": after},
        HTTP_AUTHORIZATION=bearer("order"),
    )
    assert answer.status_code == status
    if status != 200:
        return [], ""
    events = answer.json()["events"]
    return [e["event"]["subject"] for e in events], events[-1]["cursor"] if events else after


def read_in_the_end(wanted: list[str], after: str = "") -> str:
    """Read until these subjects come; a transaction of another database on the server holds them back, too."""
    end = time.monotonic() + PATIENCE
    while True:
        seen, cursor = read(after)
        if seen == wanted or time.monotonic() > end:
            assert seen == wanted
            return cursor
        time.sleep(0.05)


def test_a_reader_goes_on_from_its_cursor() -> None:
    for subject in ("a", "b"):
        with transaction.atomic():
            announce(subject)
    cursor = read_in_the_end(["a", "b"])
    assert read(cursor) == ([], cursor)
    with transaction.atomic():
        announce("c")
        announce("d")
    read_in_the_end(["c", "d"], cursor)


def test_a_person_reads_no_personal_data(admin_client: Any) -> None:
    with transaction.atomic():
        announced = writing.cloud_event(HotelBooked(booking=uuid4()), subject="a")
        writing.add_events([{**announced, "data": {"email": "ada@example.com", "code": "x"}}])
    read_in_the_end(["a"])
    (shown,) = admin_client.get("/api/events/").json()["events"]
    assert (shown["event"]["subject"], shown["event"]["data"]) == ("a", {"email": "hidden", "code": "x"})


def test_tasks_are_nobodys_business() -> None:
    with transaction.atomic():
        writing.add_task({"task": "x", "args": [], "kwargs": {}, "options": {}}, saga=None)
    assert read()[0] == []


@pytest.mark.parametrize("cursor", ["x", "1", "1-2-3", "1_0-1", "-1-1", " 1-1", "²-1", "1-" + "9" * 20])
def test_what_is_no_cursor_is_said_so(cursor: str) -> None:
    read(cursor, status=400)


def test_strangers_read_nothing() -> None:
    assert APIClient().get("/api/events/").status_code == 401


@concurrent
def test_an_event_that_commits_late_is_never_missed() -> None:
    """Rule 20 (the feed): ids commit out of order; what came after a transaction that still runs waits for it."""
    written, go = threading.Event(), threading.Event()

    def slow() -> None:
        with transaction.atomic():
            announce("first, committed last")
            written.set()
            assert go.wait(20)

    writer = in_background(slow)
    assert written.wait(20)
    with transaction.atomic():
        announce("second, committed first")
    seen_meanwhile, cursor = read()
    go.set()
    writer.result(20)
    assert seen_meanwhile == []
    read_in_the_end(["first, committed last", "second, committed first"], cursor)
