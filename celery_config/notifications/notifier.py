"""The notifier: one thread looks and writes what is due, another sends. Several may run: each message has one row."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog
from django.db import connection

from celery_config.messaging import database_gate
from celery_config.notifications.delivery import CLAIM, find_wait, send_next
from celery_config.notifications.heartbeat import beat
from celery_config.notifications.incidents import compute_look_seconds, follow, write_deliveries
from celery_config.notifications.looking import list_sources, look

log = structlog.get_logger(__name__)
LONGEST_SENDING = 2 * CLAIM.total_seconds()
"""A sender that is silent for longer hangs: the heartbeat stops."""


class Sender:
    """Sends what is due in a thread of its own: a slow mail server delays no look."""

    def __init__(self) -> None:
        self.wake = threading.Event()
        self.is_stopping = False
        self.moved_at = time.monotonic()
        self.thread = threading.Thread(target=self.run, name="sender", daemon=True)

    @property
    def moves(self) -> bool:
        return self.thread.is_alive() and time.monotonic() - self.moved_at < LONGEST_SENDING

    def run(self) -> None:
        while not self.is_stopping:
            self.wake.clear()
            self.wake.wait(self.send_all())
        connection.close()

    def send_all(self) -> float:
        """Send what is due; return for how many seconds nothing is."""
        longest = compute_look_seconds()
        try:
            self.moved_at = time.monotonic()
            while not self.is_stopping and send_next():
                self.moved_at = time.monotonic()
            return find_wait(longest)
        except Exception:  # the database is away, or a fault of ours: the next round tries again
            log.exception("the notifier cannot send")
            database_gate.drop_if_unusable()
            return longest

    def stop(self, seconds: float) -> None:
        """Let it end after the message that it sends."""
        self.is_stopping = True
        self.wake.set()
        self.thread.join(seconds)


def run(stopped: Callable[[float], bool]) -> None:
    """Look and send until asked to stop.

    Args:
        stopped: waits up to so many seconds and returns whether to stop.
    """
    sender, seconds = Sender(), compute_look_seconds()
    sender.thread.start()
    wait = 0.0
    while not stopped(wait):
        began = time.monotonic()
        look_once(seconds, sender)
        wait = max(0.0, seconds - (time.monotonic() - began))
    sender.stop(CLAIM.total_seconds())


def look_once(seconds: float, sender: Sender) -> None:
    """Look at everything, write the messages that are due, and show that it was done."""
    try:
        follow(look(seconds), every=list_sources())
        write_deliveries()
        if sender.moves:
            beat()
    except Exception:  # the database is away, or a fault of ours: the peer notices that there is no heartbeat
        log.exception("the notifier cannot look")
        database_gate.drop_if_unusable()
    sender.wake.set()
