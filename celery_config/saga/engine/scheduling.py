"""When the watchdog looks at a saga (rule 17, the watchdog). Pure; works with datetimes and with seconds."""

from __future__ import annotations

from datetime import datetime
from typing import TypeVar

from celery_config.saga.states import Status

Instant = TypeVar("Instant", float, datetime)


def next_check_at(status: str, *, now: Instant, silent_until: Instant, deadline: Instant) -> Instant:
    """When to look if nothing is heard until `silent_until`: a running saga is not left beyond its deadline."""
    return min(silent_until, deadline) if status == Status.RUNNING and now < deadline else silent_until


def earlier_check(due: Instant | None, *, now: Instant, soon: Instant) -> Instant:
    """`soon`, or earlier if that was meant anyway; never what is overdue, which would be looked at for ever."""
    return min(due, soon) if due is not None and due > now else soon


def is_moving(status: str, *, heard_lately: bool, now: Instant, deadline: Instant) -> bool:
    """Whether the log of a running saga shows that there is nothing to heal."""
    return status == Status.RUNNING and heard_lately and now < deadline
