"""Failpoints in code that is not ours: Django's commit, the driver's publish, Celery's ack. Tests only."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import structlog
from amqp.channel import Channel
from celery.worker.request import Request
from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper

from celery_config.broker import topology
from celery_config.common.services import ORCHESTRATOR
from celery_config.db import bulk
from celery_config.failpoints.points import Point, Way, reach

STEP_FAILED = f"{ORCHESTRATOR}.step_failed"


# What this process never sends: `errbacks` or `continuations` of chains. The broker drops what has no route.
LOSES = "FAILPOINTS_LOSE"
NOWHERE = "nowhere"


def install() -> None:
    """Put them there."""
    commit, at_once = BaseDatabaseWrapper._commit, bulk.at_once  # type: ignore[attr-defined]
    publish = Channel._basic_publish
    acknowledge = Request.acknowledge

    def committing(carry_out: Callable[..., None], *args: Any) -> None:
        reach(Point.BEFORE_COMMIT)
        carry_out(*args)
        if reach(Point.COMMITTED) is Way.NO_DATABASE:
            raise OperationalError("the connection was lost before the answer to COMMIT came")

    def publishing(channel: Channel, message: Any, exchange: str = "", *args: Any, **options: Any) -> Any:
        if is_lost(message):
            options |= {"routing_key": NOWHERE, "mandatory": False}
        result = publish(channel, message, exchange, *args, **options)
        if exchange != topology.TASK_EVENTS:
            reach(Point.UNCONFIRMED)
        return result

    def acknowledging(request: Request) -> None:
        reach(Point.UNACKED)
        acknowledge(request)

    BaseDatabaseWrapper._commit = lambda wrapper: committing(commit, wrapper)  # type: ignore[attr-defined]
    bulk.at_once = lambda *changes: committing(at_once, *changes)
    # Without confirms a channel calls the second of its two names for it.
    Channel._basic_publish = Channel.basic_publish = publishing
    Request.acknowledge = acknowledging


def is_lost(message: Any) -> bool:
    """Whether Celery itself, not a relay, wants to send what shall be lost."""
    task = (message.headers or {}).get("task")
    if not task or "task" not in structlog.contextvars.get_contextvars():
        return False
    return os.environ.get(LOSES) == ("errbacks" if task == STEP_FAILED else "continuations")
