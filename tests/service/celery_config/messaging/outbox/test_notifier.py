"""A commit notifies the relay, which polls where no notification can come."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.db import transaction

from celery_config.messaging.outbox import notifier, writing
from celery_config.messaging.outbox.notifier import RelayListener
from compose.local import ports
from tests.trip import HotelBooked

pytestmark = pytest.mark.django_db(transaction=True)
LONG = 30.0


def announce(**attributes: Any) -> None:
    writing.add_events([writing.cloud_event(HotelBooked(booking=uuid4()), subject="x", **attributes)])


@pytest.fixture
def named(settings: Any) -> str:
    settings.RELAY_WAKE = f"127.0.0.1:{ports.free_port()}"
    return str(settings.RELAY_WAKE)


@pytest.fixture
def bell(named: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[RelayListener]:
    monkeypatch.setattr(notifier, "POLL_SECONDS", LONG)
    made = RelayListener(named, 0.0)
    yield made
    signal.set_wakeup_fd(-1)
    for each in made.sockets:
        each.close()


def waited(bell: RelayListener) -> float:
    """How long it waits, in seconds."""
    began = time.monotonic()
    bell.wait()
    return time.monotonic() - began


def test_a_commit_with_a_promise_in_it_calls(bell: RelayListener) -> None:
    with transaction.atomic():
        announce()
    assert waited(bell) < 1


@pytest.mark.parametrize("flow", [{}, {"flow": "choreographed"}])
def test_what_only_completes_the_saga_log_calls_nobody(bell: RelayListener, flow: dict[str, str]) -> None:
    bell.seconds = 0.2
    with transaction.atomic():
        announce(step="book-hotel", **flow)
    assert bell.wait() == bool(flow)


def test_many_calls_are_one(bell: RelayListener) -> None:
    for _ in range(50):
        notifier.notify_relay()
    assert waited(bell) < 1
    bell.seconds = 0.2
    assert waited(bell) >= 0.2


def test_what_is_taken_back_calls_nobody(bell: RelayListener) -> None:
    bell.seconds = 0.2
    with transaction.atomic():
        announce()
        transaction.set_rollback(True)
    assert waited(bell) >= 0.2


def test_a_signal_ends_the_wait(bell: RelayListener) -> None:
    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    try:
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGUSR1)).start()
        assert waited(bell) < 5
    finally:
        signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize("where", ["127.0.0.1:9", "no-such-host.invalid:9200", ""])
def test_a_relay_that_is_not_there_is_no_harm(settings: Any, where: str) -> None:
    settings.RELAY_WAKE = where
    notifier.notify_relay()


def test_where_another_relay_is_called_it_looks_by_itself(named: str, bell: RelayListener) -> None:
    second = RelayListener(named, 0.05)
    assert second.seconds == 0.05
    assert waited(second) < 5
    assert [each.type for each in second.sockets] == [socket.SOCK_STREAM]
