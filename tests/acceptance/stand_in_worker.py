"""A worker with a service's own Celery settings and broker user, and stand-ins for its tasks.

`python -m tests.acceptance.stand_in_worker SERVICE BROKER_URL FOLDER`
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from celery import Celery
from celery.worker.consumer import Consumer
from celery.worker.request import Request

from celery_config.app import UnconfirmedEvents
from celery_config.broker.topology import Topology
from celery_config.common.services import ORCHESTRATOR, SUBSCRIPTIONS
from celery_config.settings import celery_settings
from celery_config.worker.bootsteps import Frames, SlowStart
from celery_config.worker.consumer import SagaConsumer


class StandInConsumer(SagaConsumer):
    """Gives Celery's pool the stand-ins, which are foreign tasks to our consumer."""

    create_task_handler = Consumer.create_task_handler

    def __init__(self, on_task_request: Callable[[Request], None], *args: Any, **kwargs: Any) -> None:
        super().__init__(on_task_request, *args, **kwargs)
        self.on_task_request = on_task_request


def make_app(service: str, broker_url: str, folder: Path) -> Celery:
    """Return the Celery app of `service`, as its Django project would make it, without Django."""
    app = Celery(service, events=UnconfirmedEvents, fixups=[])
    app.config_from_object(celery_settings(service, broker_url, folder), namespace="CELERY")
    app.conf.worker_consumer = "tests.acceptance.stand_in_worker:StandInConsumer"
    app.steps["consumer"].update({SlowStart, Frames})
    return app


def add_tasks(app: Celery, service: str) -> None:
    """`SERVICE.agree` takes part in a chain, `SERVICE.refuse` ends it; `order.step_failed` is its errback."""

    @app.task(name=f"{service}.agree")
    def agree(replies: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        return {**replies, service: "agreed"}

    @app.task(name=f"{service}.refuse")
    def refuse(replies: dict[str, Any], **kwargs: Any) -> None:
        raise ValueError(f"{service} refuses")

    if service == ORCHESTRATOR:

        @app.task(name="order.step_failed")
        def step_failed(**kwargs: Any) -> None:
            """Nothing to do: that it came is what counts."""


def main(service: str, broker_url: str, folder: str) -> None:
    """Run the worker until SIGTERM."""
    app = make_app(service, broker_url, Path(folder))
    add_tasks(app, service)
    queues = Topology.load(SUBSCRIPTIONS).worker_queues(service)
    app.worker_main(
        [
            "worker",
            "--pool=threads",
            "--concurrency=2",
            f"--hostname={service}@%h",
            f"--queues={','.join(queues)}",
            "--without-gossip",
            "--without-mingle",
            "--loglevel=INFO",
        ]
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
