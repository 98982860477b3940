"""Time limit of handlers: a worker of which a handler or a call never returns ends, and says where it hangs.

A thread cannot be ended from outside, so the whole process ends, at once, with its own exit code. The broker gives what
was not acknowledged to another worker. A message that hung alone goes to the dead letters first; it would hang there,
too. Messages that hung together come again together, and from their third return on alone (rule 19, dead letters).
"""

from __future__ import annotations

import faulthandler
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import structlog
from celery import bootsteps
from django.conf import settings

from celery_config.messaging import under_way
from celery_config.messaging.under_way import Run

log = structlog.get_logger(__name__)
LOOK_SECONDS = 1.0
REJECT_SECONDS = 5.0
EXIT_CODE = os.EX_SOFTWARE


class TimeLimit:
    """Looks every second, in a thread of its own, at what is under way.

    It counts its looks instead of reading a clock: a process that was stopped, or whose machine slept, has not hung.

    Args:
        seconds: that one handler or one call may take.
        end: ends the process.
    """

    def __init__(self, seconds: float, end: Callable[[int], Any] = os._exit) -> None:
        self.seconds, self.end = seconds, end
        self.looks: dict[Run, int] = {}

    def start(self) -> None:
        threading.Thread(target=self.watch, name="time limit", daemon=True).start()

    def watch(self) -> None:
        while True:
            # A handler that never gives Python's lock back, such as a regular expression, stops this thread as well.
            faulthandler.dump_traceback_later(2 * self.seconds, exit=True)
            time.sleep(LOOK_SECONDS)
            self.look()

    def look(self) -> None:
        self.looks = {run: self.looks.get(run, 0) + 1 for run in under_way.list_runs()}
        hung = [run for run, looks in self.looks.items() if looks * LOOK_SECONDS > self.seconds]
        if hung:
            report(hung, self.seconds)
            reject_lone(hung)
            end_process(self.end)


def report(hung: Sequence[Run], seconds: float) -> None:
    frames = sys._current_frames()
    for run in hung:
        log.critical(
            "a handler does not return; the worker ends",
            task=run.task,
            task_ids=[delivery.request.id for delivery in run.deliveries],
            limit_s=seconds,
            stack="".join(traceback.format_stack(frames.get(run.thread))),
        )


def reject_lone(hung: Sequence[Run]) -> None:
    """Send to the dead letters what hung alone, and wait until the consumer has told the broker so."""
    lone = [run.deliveries[0].request.received for run in hung if len(run.deliveries) == 1]
    for request in lone:
        request.reject(requeue=False)
    until = time.monotonic() + REJECT_SECONDS
    while time.monotonic() < until and not all(request.message.acknowledged for request in lone):
        time.sleep(0.05)
    if lone:
        time.sleep(LOOK_SECONDS)  # the frame is on its way


def end_process(end: Callable[[int], Any] = os._exit) -> None:
    """End this process at once, whatever its other threads do."""
    sys.stdout.flush()
    sys.stderr.flush()
    end(EXIT_CODE)


class HandlerTimeLimit(bootsteps.StartStopStep):
    """Limits the time of handlers as long as the worker lives, also while it stops."""

    def start(self, worker: Any) -> None:
        TimeLimit(settings.HANDLER_SECONDS).start()
