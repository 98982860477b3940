"""The gate before calls outside: a call waits for its turn, which the workers of a service share in one row.

Without a limit it costs nothing: no statement, no lock. With one, or after a provider's 429, each call costs one short
transaction on that row, in one connection a process. How many run side by side is a share of each process.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import structlog
from django.conf import settings
from django.db import connection, transaction

from celery_config.common import metrics
from celery_config.db.functions import fetch_now
from celery_config.errors import CalledTooOften, ServiceUnavailable
from celery_config.messaging.flow_control.pace import Pace
from celery_config.messaging.models import CallPace

log = structlog.get_logger(__name__)
T = TypeVar("T")
LONGEST_WAIT = 2.0
"""In seconds. A call whose turn is later gives its thread back, and its message waits in the outbox."""
LONGEST_RETRY_AFTER = 3600.0
"""In seconds. A provider that says more is asked again then."""


class CallGate:
    """The gate of one process.

    Args:
        limit: calls a second, over all workers of the service; 0: any number.
        at_once: calls side by side in this process; 0: any number.
    """

    def __init__(self, limit: float, at_once: int) -> None:
        self.limit = limit
        self.side_by_side = threading.Semaphore(at_once) if at_once else None
        self.is_lowered = False
        """Whether this process met a 429 from which the pace has not recovered."""
        # One connection a process: the threads of calls need none.
        self.turns = ThreadPoolExecutor(1, thread_name_prefix="turns of calls")

    def call(self, function: Callable[[], T]) -> T:
        """Make a call when its turn has come.

        Raises:
            ServiceUnavailable: its turn comes later; nothing was done.
            CalledTooOften: the provider says so; it did nothing.
        """
        if not (self.limit or self.is_lowered or self.side_by_side):
            return self.make(function)
        if self.limit or self.is_lowered:
            self.wait_for_turn()
        if self.side_by_side is None:
            return self.make(function)
        if not self.side_by_side.acquire(timeout=LONGEST_WAIT):
            raise ServiceUnavailable("as many calls as may run side by side are under way")
        try:
            return self.make(function)
        finally:
            self.side_by_side.release()

    def make(self, function: Callable[[], T]) -> T:
        try:
            return function()
        except CalledTooOften as error:
            self.is_lowered = True
            metrics.CALLS_REFUSED.inc()
            # The message of this call waits so long, too.
            error.wait = min(error.wait, LONGEST_RETRY_AFTER)
            self.turns.submit(self.lower, error.wait).result()
            raise

    def wait_for_turn(self) -> None:
        """
        Raises:
            ServiceUnavailable: the turn is too far away.
        """
        wait, taken = self.turns.submit(self.take_turn).result()
        if not taken:
            raise ServiceUnavailable(f"its turn to call comes in {wait:.1f} s", wait=wait)
        time.sleep(wait)

    def take_turn(self) -> tuple[float, bool]:
        """Take the next moment; return how long to wait for it, and whether it was taken."""
        try:
            with transaction.atomic():
                row, pace, now = lock_pace()
                after, wait, taken = pace.take_turn(self.limit, now, LONGEST_WAIT)
                if after != pace:
                    write_pace(row, after)
                self.is_lowered = not after.has_recovered(self.limit, now)
                return wait, taken
        except BaseException:
            connection.close()
            raise

    def lower(self, wait: float) -> None:
        """Lower the pace of all workers after a 429."""
        with transaction.atomic():
            row, pace, now = lock_pace()
            after = pace.lower(self.limit, now, wait)
            write_pace(row, after)
        log.warning(
            "the provider is called too often: the pace is lowered", per_second=after.lowered_to, wait_s=wait
        )


def lock_pace() -> tuple[CallPace, Pace, float]:
    """Lock the row of the pace; return it, the pace, and the present time by the database's clock."""
    CallPace.objects.bulk_create([CallPace()], ignore_conflicts=True)
    row = CallPace.objects.select_for_update().get(pk=1)
    return row, Pace(row.next_at, row.lowered_to, row.lowered_at), fetch_now().timestamp()


def write_pace(row: CallPace, pace: Pace) -> None:
    row.next_at, row.lowered_to, row.lowered_at = pace.next_at, pace.lowered_to, pace.lowered_at
    row.save()


@functools.cache
def get_gate() -> CallGate:
    """The gate of this process; all threads share it."""
    return CallGate(read_limit(), getattr(settings, "PROVIDER_CALLS_AT_ONCE", 0))


def read_limit() -> float:
    """Return the calls a second that the settings allow; 0: any number, as in a service without a provider."""
    return float(getattr(settings, "PROVIDER_CALLS_PER_SECOND", 0.0))


def read_rate() -> float:
    """How many calls a second may begin now, in all workers; 0: any number."""
    row, limit = CallPace.objects.filter(pk=1).first(), read_limit()
    if row is None:
        return limit
    # For people: our clock is near enough, and costs no statement.
    return Pace(row.next_at, row.lowered_to, row.lowered_at).find_rate(limit, time.time())
