"""Tasks of inventory that end their worker, or try to; `TASK_MODULES=tests.acceptance.killer_tasks` adds them."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from celery_config.broker import transport
from celery_config.messaging.deliveries import Delivery
from celery_config.messaging.tasks import Work, durable_task
from tests.acceptance.killers import BREAK, EXIT, HANG, KILL


@dataclass(frozen=True)
class Nothing:
    """Such a message says nothing."""


def break_event_loop() -> None:
    """Let an unforeseen error reach Celery's event loop."""

    def fails(connection: Any) -> bool:
        raise RuntimeError("a bug")

    transport.has_frame = fails


def add_task(name: str, do: Callable[[], Any]) -> None:
    def handle(deliveries: Sequence[Delivery[Nothing]]) -> list[None]:
        do()
        return [None for _ in deliveries]

    durable_task(name, Work(message=Nothing, handle=handle, exhausted="dead letter"))


add_task(KILL, lambda: os.kill(os.getpid(), signal.SIGKILL))
add_task(EXIT, sys.exit)
add_task(HANG, lambda: threading.Event().wait())
add_task(BREAK, break_event_loop)
