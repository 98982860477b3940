"""Failpoints: off they are nothing; armed, the first process that comes by dies there, once."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import structlog

from celery_config.common.service_calls import list_pairs, name_token
from celery_config.failpoints import points
from celery_config.failpoints.arming import Armed, Failpoint
from celery_config.failpoints.points import Point, Way
from tests.chaos.failpoints import arm, disarm


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Armed:
    """As a process that does not really die sees them."""
    arm(tmp_path, Failpoint(Point.UNACKED, "another.task", Way.KILL))
    armed = Armed(tmp_path, {})
    monkeypatch.setattr(armed, "die", lambda way: None)
    return armed


def test_switched_off_they_are_nothing() -> None:
    assert points._react is points.pass_by
    assert points.reach(Point.DELIVERED) is None


def test_each_fires_once_and_tells_where(here: Armed, tmp_path: Path) -> None:
    name = arm(tmp_path, Failpoint(Point.BEFORE_COMMIT, "payment.capture_payment", Way.NO_DATABASE))
    twin = Armed(tmp_path, {})
    twin.read_changes()
    with structlog.contextvars.bound_contextvars(task="payment.capture_payment", saga="s-1"):
        assert here.reach(Point.AFTER_CALL) is None
        assert here.reach(Point.BEFORE_COMMIT) is Way.NO_DATABASE
        assert here.reach(Point.BEFORE_COMMIT) is None
        assert twin.reach(Point.BEFORE_COMMIT) is None
    found = json.loads((tmp_path / "fired" / f"{name}.found").read_text())
    assert (found["saga"], found["pid"]) == ("s-1", os.getpid())


def test_another_operation_passes_unharmed(here: Armed, tmp_path: Path) -> None:
    arm(tmp_path, Failpoint(Point.BEFORE_COMMIT, "payment.capture_payment", Way.KILL))
    with structlog.contextvars.bound_contextvars(task="payment.void_payment"):
        assert here.reach(Point.BEFORE_COMMIT) is None


def test_it_can_wait_for_a_later_one(here: Armed, tmp_path: Path) -> None:
    """So a run is replayed from its seed."""
    arm(tmp_path, Failpoint(Point.RELAYED, "", Way.KILL, skip=2))
    assert [here.reach(Point.RELAYED) for _ in range(4)] == [None, None, Way.KILL, None]


def test_disarmed_it_fires_no_more(here: Armed, tmp_path: Path) -> None:
    arm(tmp_path, Failpoint(Point.RELAYED, "", Way.KILL))
    here.read_changes()
    disarm(tmp_path)
    assert here.reach(Point.RELAYED) is None


def test_a_cut_connection_is_cut_and_no_other(tmp_path: Path) -> None:
    pair = socket.socketpair()  # a socket that has no port
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        to_one, to_other = (socket.create_connection(s.getsockname()) for s in (one, other))
        dead_host = 1
        Armed(tmp_path, {Way.NO_BROKER: [dead_host, one.getsockname()[1]]}).die(Way.NO_BROKER)
        assert to_one.recv(1) == b""
        other.accept()[0].sendall(b"x")
        assert to_other.recv(1) == b"x"
        for each in (to_one, to_other, *pair):
            each.close()


def test_production_refuses_to_start_with_them(tmp_path: Path) -> None:
    env = {
        **os.environ, "ENVIRONMENT": "production", "FAILPOINTS": str(tmp_path),
        "PAYMENT_DATABASE_URL": "postgres://payment:x@db:5432/payment", "PAYMENT_HOSTS": "x",
        "PAYMENT_BROKER_URL": "amqp://payment:x@broker:5672/order-saga", "PAYMENT_SECRET_KEY": "k" * 60,
        "PAYMENT_WEBHOOK_SECRET": "w", "PAYMENT_MESSAGE_KEYS": "m",
        **{name_token(pair): "t" for pair in list_pairs("payment")},
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "manage.py", "payment", "check"],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode
    assert "for tests only" in done.stderr
