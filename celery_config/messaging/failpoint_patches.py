"""Failpoint patches stop a process at Django's commit, the driver's publish or Celery's ack. Tests only."""

from __future__ import annotations

import os
from typing import Any

import structlog
from amqp.channel import Channel
from celery.worker.request import Request
from django.db.backends.base.base import BaseDatabaseWrapper

from celery_config.broker import topology
from celery_config.common.services import ORCHESTRATOR
from celery_config.db.functions import commit_failpoints
from celery_config.failpoints.points import Point, reach

STEP_FAILED = f"{ORCHESTRATOR}.step_failed"
# What this process never sends: `errbacks` or `continuations` of chains. The broker drops a message without a route.
LOSES = "FAILPOINTS_LOSE"
NOWHERE = "nowhere"


def install() -> None:
    commit = BaseDatabaseWrapper._commit  # type: ignore[attr-defined]
    publish = Channel._basic_publish
    acknowledge = Request.acknowledge

    def commit_with_failpoints(wrapper: BaseDatabaseWrapper) -> None:
        with commit_failpoints():
            commit(wrapper)

    def publish_with_failpoints(
        channel: Channel, message: Any, exchange: str = "", *args: Any, **options: Any
    ) -> Any:
        if is_lost(message):
            options |= {"routing_key": NOWHERE, "mandatory": False}
        result = publish(channel, message, exchange, *args, **options)
        if exchange != topology.TASK_EVENTS:
            reach(Point.UNCONFIRMED)
        return result

    def acknowledge_with_failpoint(request: Request) -> None:
        reach(Point.UNACKED)
        acknowledge(request)

    BaseDatabaseWrapper._commit = commit_with_failpoints  # type: ignore[attr-defined]
    # Without confirms a channel calls the second of its two names for it.
    Channel._basic_publish = Channel.basic_publish = publish_with_failpoints
    Request.acknowledge = acknowledge_with_failpoint


def is_lost(message: Any) -> bool:
    """Whether Celery itself, not a relay, sends a message that this process must lose."""
    task = (message.headers or {}).get("task")
    if not task or "task" not in structlog.contextvars.get_contextvars():
        return False
    return os.environ.get(LOSES) == ("errbacks" if task == STEP_FAILED else "continuations")
