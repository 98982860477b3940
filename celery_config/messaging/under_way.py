"""What is under way in this process: each run of a handler and each call outside; the worker limits their time."""

from __future__ import annotations

import threading
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
    """

    task: str
    deliveries: Sequence[Delivery[Any]]
    thread: int = field(default_factory=threading.get_ident)


_runs: set[Run] = set()


@contextmanager
def noted(task: str, deliveries: Sequence[Delivery[Any]]) -> Iterator[None]:
    """Note what this thread does in the block; for the arguments see `Run`."""
    run = Run(task, deliveries)
    _runs.add(run)
    try:
        yield
    finally:
        _runs.discard(run)


def list_runs() -> list[Run]:
    return list(_runs)
