"""A handler that never returns ends its worker, which says in which; the message that hung alone is a dead letter."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from celery.app.task import Context
from structlog.testing import capture_logs

from celery_config.messaging import under_way
from celery_config.messaging.deliveries import Delivery
from celery_config.worker import time_limit as module
from celery_config.worker.time_limit import EXIT_CODE, TimeLimit
from tests.service.together import until

LIMIT = 3 * module.LOOK_SECONDS


class Hangs:
    """A handler that does not return before the test's end."""

    def __init__(self, messages: int, told: list[str]) -> None:
        self.told, self.released = told, threading.Event()
        self.deliveries = [self.delivery(str(number)) for number in range(messages)]
        self.thread = threading.Thread(target=self.never_return, daemon=True)
        self.thread.start()
        until(under_way.list_runs, "it has begun")

    def delivery(self, id: str) -> Delivery[Any]:
        message = SimpleNamespace(acknowledged=False)

        def reject(requeue: bool) -> None:
            message.acknowledged = True
            self.told.append(f"{id}: {'requeue' if requeue else 'dead letter'}")

        context = Context(id=id)
        context.received = SimpleNamespace(reject=reject, message=message)
        return Delivery(context, None)

    def never_return(self) -> None:
        with under_way.noted("hotel.book", self.deliveries):
            self.released.wait()

    def end(self) -> None:
        self.released.set()
        self.thread.join()


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(module.time, "sleep", lambda _: None)
    return []


@pytest.fixture(params=[1, 2])
def hangs(request: pytest.FixtureRequest, told: list[str]) -> Iterator[Hangs]:
    hangs = Hangs(request.param, told)
    yield hangs
    hangs.end()


def test_it_ends_and_says_so(hangs: Hangs, told: list[str]) -> None:
    ended: list[int] = []
    limit = TimeLimit(LIMIT, ended.append)
    with capture_logs() as logs:
        for _ in range(3):
            limit.look()
        assert (ended, logs) == ([], [])
        limit.look()
    assert ended == [EXIT_CODE]
    assert told == (["0: dead letter"] if len(hangs.deliveries) == 1 else [])
    (line,) = logs
    assert line["log_level"] == "critical"
    assert (line["task"], line["task_ids"]) == ("hotel.book", [d.request.id for d in hangs.deliveries])
    assert "in never_return" in line["stack"]


def test_what_returns_in_time_is_not_counted_together(told: list[str]) -> None:
    ended: list[int] = []
    limit = TimeLimit(LIMIT, ended.append)
    for _ in range(5):
        with under_way.noted("hotel.book", []):
            limit.look()
            limit.look()
    assert (ended, limit.looks.keys() & set(under_way.list_runs())) == ([], set())


@pytest.mark.parametrize(
    ("hang", "code"),
    [
        ("threading.Event().wait()", EXIT_CODE),
        # It never gives Python's lock back, so no thread of Python's can see it.
        ('re.match(r"(a+)+$", "a" * 60 + "b")', 1),
    ],
)
def test_the_process_ends_whatever_it_hangs_in(hang: str, code: int) -> None:
    program = f"""
        import re, threading
        from celery_config.messaging import under_way
        from celery_config.worker import time_limit
        time_limit.LOOK_SECONDS = 0.1
        time_limit.TimeLimit(0.3).start()
        with under_way.noted("hotel.book", []):
            {hang}
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert "<module>" in done.stderr + done.stdout
