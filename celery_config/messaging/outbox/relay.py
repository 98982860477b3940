"""The relay publishes due outbox rows and runs a service's periodic duties: watchdog, retention, copies, sweeps.

Several may run at once; row locks share the work.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from celery import Celery
from django.conf import settings
from django.db import connection
from django.db.models import Min

from celery_config.broker.publisher import Publisher, broker_errors
from celery_config.db import functions
from celery_config.messaging import database_gate
from celery_config.messaging.background_threads import BackgroundThreads
from celery_config.messaging.database_gate import DATABASE_AWAY
from celery_config.messaging.outbox.publishing import due_rows, has_due_rows, publish_batch

log = structlog.get_logger(__name__)
Question = tuple[str, Sequence[Any]]
"""A statement with its parameters."""


@dataclass
class Duty:
    """Work that the relay does every `seconds`, and again after the next batch if `run` returns True: there is more."""

    name: str
    run: Callable[[], bool | None]
    seconds: float
    next_at: float = field(default=0.0)
    needs: Callable[[], Question] | None = None
    """Makes the statement of the rows without which there is nothing to do (`cached_sql`)."""

    def is_due(self) -> bool:
        return time.monotonic() >= self.next_at

    def rest(self) -> None:
        """Let it come again after its time."""
        self.next_at = time.monotonic() + self.seconds

    def do(self) -> bool:
        """Run it and return whether there is more to do at once.

        An error of its own is logged and does not stop the publishing. So is `SystemExit`: with it the relay would end
        without a word, and with the exit code 0.
        """
        self.rest()
        try:
            with structlog.contextvars.bound_contextvars(duty=self.name):
                if self.run():
                    self.next_at = 0.0
        except (*DATABASE_AWAY, KeyboardInterrupt):
            raise
        except BaseException:
            database_gate.drop_if_unusable()
            log.exception("a duty of the relay failed", duty=self.name)
        return not self.next_at


class BackgroundDuty:
    """A duty with a thread of its own, so that a slow source or statement does not delay the relay's publishing."""

    threads = BackgroundThreads()

    def __init__(self, name: str, run: Callable[[], None]) -> None:
        self.name = name
        self.run = run
        self.ended = threading.Event()
        self.ended.set()

    def start(self) -> None:
        """Let a thread run it, unless one still does."""
        if self.ended.is_set():
            self.ended.clear()
            try:
                self.threads.run(self.run_and_log)
            except BaseException:  # no thread can be started now; the duty comes again
                self.ended.set()
                raise

    def run_and_log(self) -> None:
        try:
            with structlog.contextvars.bound_contextvars(duty=self.name):
                # The server may have ended the connection of the thread while it had nothing to do.
                database_gate.drop_if_unusable()
                self.run()
        except BaseException:  # `SystemExit` ends a thread without a word
            log.exception("a duty of the relay failed", duty=self.name)
        finally:
            self.ended.set()


def oldest_unpublished_seconds() -> float:
    """For how many seconds the oldest row that is not published could have been sent; 0 when there is none.

    Rows that are set aside do not count.
    """
    oldest = due_rows().aggregate(at=Min("due_at"))["at"]
    return max(0.0, (functions.fetch_now() - oldest).total_seconds()) if oldest else 0.0


def run(
    app: Celery, duties: Sequence[Duty], stopped: Callable[[float], bool], wait_for_call: Callable[[], bool]
) -> None:
    """Relay until asked to stop; wait out every absence of the broker and the database.

    Args:
        duties: run between batches.
        stopped: waits up to so many seconds and returns whether to stop.
        wait_for_call: waits until the next poll is due; returns True as soon as it is notified of something to publish.
    """
    structlog.contextvars.bind_contextvars(duty=f"{settings.SERVICE} publish")
    publisher = Publisher(app, settings.TIMES.publish)
    away: tuple[type[BaseException], ...] = (*DATABASE_AWAY, *broker_errors(app))
    trouble_wait = 0.1
    called = False
    while True:
        found, behind, trouble = 0, False, False
        try:
            found = publish_due(publisher, called)
        except away as error:
            trouble = True
            log.warning("relay waits for the database or broker", error=repr(error))
        except KeyboardInterrupt:
            raise
        except BaseException:  # the duties go on: the watchdog and the dead letters need no outbox
            trouble = True
            log.exception("the relay cannot publish")
        if trouble:
            publisher.close()
            connection.close()
        try:
            behind = bool([duty for duty in find_needed(duties) if duty.do()])
        except DATABASE_AWAY as error:
            trouble = True
            log.warning("relay waits for the database or broker", error=repr(error))
            connection.close()
        called, wait = False, 0.0
        if trouble:
            wait = trouble_wait = min(trouble_wait * 2, 5.0)
        else:
            trouble_wait = 0.1
            if found < settings.RELAY_BATCH and not behind:
                # Let rows gather: a batch costs nearly the same at any size.
                if found and stopped(settings.RELAY_GATHER_SECONDS):
                    break
                called = wait_for_call()
        if stopped(wait):
            break
    publisher.close()


def publish_due(publisher: Publisher, called: bool) -> int:
    """Publish what is due, as `publish_batch` does; nothing while the broker has a resource alarm.

    Args:
        called: whether someone has said that there is something.
    """
    publisher.look()
    if publisher.blocked:
        return 0
    return publish_batch(publisher, settings.RELAY_BATCH) if called or publisher.held or has_due_rows() else 0


def find_needed(duties: Sequence[Duty]) -> list[Duty]:
    """Return the duties whose time has come and that have something to do; one statement asks for all of them.

    Raises:
        OperationalError, InterfaceError: the database is away.
    """
    due = [duty for duty in duties if duty.is_due()]
    has_rows = ask_for_rows({duty.name: duty.needs() for duty in due if duty.needs})
    needed = []
    for duty in due:
        if has_rows.get(duty.name, True):
            needed.append(duty)
        else:
            duty.rest()
    return needed


def ask_for_rows(statements: Mapping[str, Question]) -> dict[str, bool]:
    """Return which of these statements find rows; nothing if one of them fails: then each duty finds out for itself."""
    if not statements:
        return {}
    questions = ", ".join(f"EXISTS ({sql})" for sql, _ in statements.values())
    parameters = [each for _, some in statements.values() for each in some]
    try:
        (answers,) = functions.fetch_all(f"SELECT {questions}", parameters)
    except DATABASE_AWAY:
        raise
    except Exception:
        log.exception("the relay cannot ask what there is to do")
        return {}
    return dict(zip(statements, map(bool, answers), strict=True))
