"""Failpoints: named points in the code at which a test can make a process die. Outside of tests they do nothing."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum


class Point(StrEnum):
    """Where a process dies, in the order in which a message reaches these points."""

    DELIVERED = "delivered"
    BARRIER_INSERTED = "barrier inserted"
    BEFORE_CALL = "before the call"
    CIRCUIT_OPEN = "left alone, not called"
    AFTER_CALL = "after the call"
    BEFORE_COMMIT = "before commit"
    COMMITTED = "commit sent, reply lost"
    NEXT_UNPUBLISHED = "committed, next link unpublished"
    UNCONFIRMED = "published, unconfirmed"
    UNACKED = "confirmed, unacked"
    ERRBACK_PENDING = "errback pending"
    RELAYED = "relayed, row not deleted"
    RESPONSE_PENDING = "committed, response lost"
    DECIDED = "watchdog in mid-decision"


class Way(StrEnum):
    """How a process dies, or what it loses."""

    KILL = "killed"
    STOP = "stopped beyond the heartbeat"
    NO_DATABASE = "database connection cut"
    NO_BROKER = "broker connection cut"


def pass_by(point: Point) -> Way | None:
    """Do nothing, unless a test installs another reaction."""
    return None


_react: Callable[[Point], Way | None] = pass_by


def reach(point: Point) -> Way | None:
    """Mark a point. Return how the process was harmed there, if it was and still lives."""
    return _react(point)


def react_with(react: Callable[[Point], Way | None]) -> None:
    """Call `react` at every point of this process from now on."""
    global _react
    _react = react
