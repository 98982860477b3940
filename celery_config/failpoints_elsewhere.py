"""Failpoints in code that is not ours: Django's commit, the driver's publish, Celery's ack. Tests only."""

from __future__ import annotations

from typing import Any

from amqp.channel import Channel
from celery.worker.request import Request
from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper

from celery_config import topology
from celery_config.failpoints import Point, Way, reach


def install() -> None:
    """Put them there."""
    commit = BaseDatabaseWrapper._commit  # type: ignore[attr-defined]
    publish = Channel._basic_publish
    acknowledge = Request.acknowledge

    def committing(wrapper: BaseDatabaseWrapper) -> None:
        reach(Point.BEFORE_COMMIT)
        commit(wrapper)
        if reach(Point.COMMITTED) is Way.NO_DATABASE:
            raise OperationalError("the connection was lost before the answer to COMMIT came")

    def publishing(channel: Channel, message: Any, exchange: str = "", *args: Any, **options: Any) -> Any:
        result = publish(channel, message, exchange, *args, **options)
        if exchange != topology.TASK_EVENTS:
            reach(Point.UNCONFIRMED)
        return result

    def acknowledging(request: Request) -> None:
        reach(Point.UNACKED)
        acknowledge(request)

    BaseDatabaseWrapper._commit = committing  # type: ignore[attr-defined]
    Channel._basic_publish = publishing
    Request.acknowledge = acknowledging
