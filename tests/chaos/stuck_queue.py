"""A queue that takes nothing while 20,000 rows of one outbox wait for it: all other rows must leave as ever."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from kombu import Connection

from celery_config.broker.topology import EVENTS
from celery_config.common.services import ORCHESTRATOR
from compose.local.stack import Stack
from tests.chaos.quiet import count_in_flight
from tests.chaos.system import execute, fetch_rows
from tests.service.broker import leaderless

ROWS = 20_000
# A queue of its own: an order that waits for a stuck one of ours would be late by right. No other takes this event.
SERVICE, QUEUE, KEY = ORCHESTRATOR, "chaos", f"{ORCHESTRATOR}.chaos"
ROUTE = f"{EVENTS}/{KEY}"
# A relay needs as long as a publish may take (10 s) to learn that a queue confirms nothing.
LEARN_SECONDS = 30.0
WATCH_SECONDS = 8.0
# With each row read and rewritten, others took 18 to 29 s.
MOST_SECONDS = 5.0
POLL_SECONDS = 0.1
WAITING = f"""
    INSERT INTO messaging_outboxmessage (kind, name, route, payload)
    SELECT 'task', 'chaos.wait', '{ROUTE}', jsonb_build_object(
        'task', 'chaos.wait', 'args', '[]'::jsonb, 'kwargs', jsonb_build_object('n', number),
        'options', '{{"exchange": "{EVENTS}", "routing_key": "{KEY}", "mandatory": true}}'::jsonb)
    FROM generate_series(1, {ROWS}) AS number
"""
LEFT = f"SELECT count(*) FROM messaging_outboxmessage WHERE route = '{ROUTE}'"
OTHERS = f"""
    SELECT coalesce(max(extract(epoch FROM clock_timestamp() - due_at)), 0)::float FROM messaging_outboxmessage
    WHERE published_at IS NULL AND fault IS NULL AND due_at BETWEEN %s AND clock_timestamp() AND route <> '{ROUTE}'
"""
ENDED = "SELECT count(*) FROM order_order WHERE ended_at IS NOT NULL"


@dataclass
class StuckQueue:
    """What was seen; times are in seconds.

    Args:
        learned: until the relay held the rows back.
        slowest: of a row of another route, from then on until the queue took messages again.
        slowest_after: of such a row while the 20,000 left.
        ended: orders that ended meanwhile.
        left: of the 20,000, when this was no longer watched. The end of the run checks that none is left.
    """

    learned: float | None = None
    slowest: float = 0.0
    slowest_after: float = 0.0
    ended: int = 0
    left: int = 0

    def __str__(self) -> str:
        learned = "never" if self.learned is None else f"after {self.learned:.1f} s"
        return (
            f"{ROWS} rows of {SERVICE} for a stuck queue: held back {learned}; then the slowest row of another"
            f" route left after {self.slowest:.1f} s, and {self.ended} orders ended; while the rows left, after"
            f" {self.slowest_after:.1f} s ({self.left} rows were left after {WATCH_SECONDS:.0f} s)"
        )

    def find_violations(self) -> list[str]:
        found = []
        if self.learned is None:
            found.append(f"the relay of {SERVICE} never held back the rows of a queue that takes nothing")
        for when, seconds in (("a queue was stuck", self.slowest), ("its rows left", self.slowest_after)):
            if seconds > MOST_SECONDS:
                found.append(f"while {when}, a row of another route of {SERVICE} waited {seconds:.1f} s")
        return found


def stick_queue(stack: Stack, over: threading.Event) -> StuckQueue:
    """Let a queue take nothing while rows wait for it; return when they have been leaving for a while.

    Nothing else may fail meanwhile: a relay that dies is late by right.
    """
    assert stack.rabbitmq is not None
    seen = StuckQueue()
    declare_queue(stack)
    while not count_in_flight(stack) and not over.wait(POLL_SECONDS):
        pass
    with leaderless(stack.rabbitmq, QUEUE):
        execute(stack, SERVICE, WAITING)
        began = time.monotonic()
        if wait_for(lambda: holds_back(stack), LEARN_SECONDS):
            seen.learned = time.monotonic() - began
        ended = fetch_rows(stack, "order", ENDED)[0][0]
        seen.slowest = watch_others(stack)
        seen.ended = fetch_rows(stack, "order", ENDED)[0][0] - ended
    seen.slowest_after = watch_others(stack)
    seen.left = fetch_rows(stack, SERVICE, LEFT)[0][0]
    return seen


def declare_queue(stack: Stack) -> None:
    """Make the queue, also after the broker has lost its data: rows may still wait for it."""
    with Connection(stack.broker_admin_url) as connection:
        channel = connection.default_channel
        channel.queue_declare(QUEUE, durable=True, auto_delete=False, arguments={"x-queue-type": "quorum"})
        channel.queue_bind(QUEUE, EVENTS, KEY)


def holds_back(stack: Stack) -> bool:
    """Whether the relay has said that the queue confirms nothing."""
    said = stack.supervisor[f"{SERVICE}-relay"].output().splitlines()
    return any("a queue confirms nothing" in line and ROUTE in line for line in said)


def watch_others(stack: Stack) -> float:
    """Return the longest time for which a row of another route had to wait that could be sent from now on."""
    end, slowest = time.monotonic() + WATCH_SECONDS, 0.0
    since = fetch_rows(stack, SERVICE, "SELECT clock_timestamp()")[0][0]
    while time.monotonic() < end:
        slowest = max(slowest, fetch_rows(stack, SERVICE, OTHERS, since)[0][0])
        time.sleep(POLL_SECONDS)
    return slowest


def wait_for(condition: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(POLL_SECONDS)
    return True
