"""What is under way in this process: each run of a handler and each call outside; the worker limits their time."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from celery_config.messaging.deliveries import Delivery


@dataclass(frozen=True, eq=False)
class Run:
    """One handler at work, or one call.

    Args:
        task: whose handler it is.
        deliveries: the messages that it works on.
        is_call: a call outside, which holds up no other message.
    """

    task: str
    deliveries: Sequence[Delivery[Any]]
    is_call: bool = False
    thread: int = field(default_factory=threading.get_ident)
    began: float = field(default_factory=time.monotonic)


_runs: set[Run] = set()


@contextmanager
def noted(task: str, deliveries: Sequence[Delivery[Any]], *, is_call: bool = False) -> Iterator[None]:
    """Note what this thread does in the block; for the arguments see `Run`."""
    run = Run(task, deliveries, is_call)
    _runs.add(run)
    try:
        yield
    finally:
        _runs.discard(run)


def find_stalled(seconds: float) -> list[str]:
    """Return the tasks whose handlers have been at work for longer; other messages wait for them."""
    since = time.monotonic() - seconds
    return [run.task for run in list_runs() if not run.is_call and run.began < since]


def list_runs() -> list[Run]:
    return list(_runs)
