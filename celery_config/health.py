"""Health: `/healthz` (the process lives), `/readyz` (it can accept), `/flowz` (everything moves), `/metrics`.

Only `/healthz` and `/readyz` are for what restarts processes or sends them requests. An outbox survives the absence of
all that `/flowz` looks at: a web that is taken out of service for it only loses orders. Each check has a time limit, so
that a server that hangs is named and not waited for.
"""

from __future__ import annotations

import functools
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from celery import Celery, current_app
from django.conf import settings
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.module_loading import import_string
from kombu import Connection
from prometheus_client import CONTENT_TYPE_LATEST, Metric, generate_latest
from prometheus_client.registry import Collector

from celery_config.broker import transport
from celery_config.broker.publisher import broker_errors, drop_connection
from celery_config.broker.topology import Topology
from celery_config.common.metrics import WEB, read_gauge
from celery_config.db import limits, writes
from celery_config.messaging import database_gate

T = TypeVar("T")
GOOD, WARNING = "ok", "warning"
ANSWER_SECONDS = 3.0
"""How long a database or broker may take to answer one check."""
DATABASE_SECONDS = 4.0
"""How long all checks of the database together may take."""
PAGE_SECONDS = 4.5
"""How long the page of what moves waits for its checks."""
SHARED_SECONDS = 1.0
"""How long an answer about what moves is given to others, too."""
CHECKS_AT_ONCE = 8
LATE = f"unknown: no answer within {PAGE_SECONDS:g} s"
NO_BROKER = {"broker": f"does not answer within {PAGE_SECONDS:g} s", "workers": "unknown: no broker"}
BROKER_SECONDS = 2.0
"""How long the broker's hosts together may take to let us in."""
ELSEWHERE = ("participants", "queues", "hindrances")
"""The checks that ask the broker or other services, and not the database."""


def healthz(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok", content_type="text/plain")


def readyz(request: HttpRequest) -> HttpResponse:
    """200 when this process can accept, else 503. It needs a database that takes writes, and no more.

    Notes, as of a dead notifier, change nothing of that.
    """
    database = check_database()
    ready = database.startswith(GOOD)
    by = time.monotonic() + ANSWER_SECONDS if ready else 0.0
    notes = {name: ask_database(import_string(path), by) for name, path in settings.READY_NOTES.items()}
    return answer_probe(ready, {"ready": ready, "database": database, **notes})


def flowz(request: HttpRequest) -> HttpResponse:
    """200 when everything moves, else 503; the body says what does not. A warning leaves it 200."""
    found = FLOWS.find()
    flows = all(text.startswith((GOOD, WARNING)) for text in found.values())
    return answer_probe(flows, {"flows": flows, **found})


def answer_probe(good: bool, told: dict[str, object]) -> HttpResponse:
    """Return the answer to a probe: 200 if all is good, else 503."""
    answer = JsonResponse(told, status=200 if good else 503)
    # Django would log an error each time that somebody asks. The body says what is wrong; who asks decides about it.
    answer._has_been_logged = True  # type: ignore[attr-defined]
    return answer


class SharedFlows:
    """What moves, found at most once in `SHARED_SECONDS`. All who ask meanwhile get the same answer."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: dict[str, str] = {}
        self._until = 0.0

    def find(self) -> dict[str, str]:
        with self._lock:
            if time.monotonic() >= self._until:
                self._found = find_flows()
                self._until = time.monotonic() + SHARED_SECONDS
            return self._found


FLOWS = SharedFlows()


def find_flows() -> dict[str, str]:
    """What each check of this service says, by its name."""
    began = time.monotonic()
    checks = {name: import_string(path) for name, path in settings.FLOW_CHECKS.items()}
    pool = make_pool(os.getpid())
    broker = pool.submit(check_broker, current_app._get_current_object())
    asked = {name: pool.submit(check) for name, check in checks.items() if name in ELSEWHERE}
    found = {"database": check_database()}
    answers = found["database"].startswith((GOOD, writes.REFUSES))
    by = began + DATABASE_SECONDS if answers else 0.0
    told = {name: ask_database(check, by) for name, check in checks.items() if name not in asked}
    by = began + PAGE_SECONDS
    of_broker: dict[str, str] = wait_for(broker, by, NO_BROKER)
    found |= of_broker
    found |= {name: wait_for(asked[name], by, LATE) if name in asked else told[name] for name in checks}
    return {name: text for name, text in found.items() if text}


@functools.cache
def make_pool(process: int) -> ThreadPoolExecutor:
    """The threads of this process for checks that ask elsewhere; one that hangs keeps its thread for a while."""
    return ThreadPoolExecutor(CHECKS_AT_ONCE, thread_name_prefix="check")


def wait_for(check: Future[T], by: float, instead: T) -> T:
    """Return what a check says, or `instead` if it does not say so in time."""
    try:
        return check.result(max(0.0, by - time.monotonic()))
    except TimeoutError:
        check.cancel()
        return instead


def metrics(request: HttpRequest) -> HttpResponse:
    return HttpResponse(generate_latest(WEB), content_type=CONTENT_TYPE_LATEST)


class DatabaseMeasures(Collector):
    """What the service's database says at this moment; while it is away, only that."""

    def collect(self) -> Iterator[Metric]:
        found: list[Metric] = []
        try:
            if check_database() == GOOD:
                for path in settings.MEASURES:
                    found += import_string(path)()
        except (DatabaseError, InterfaceError):
            found = []
        yield read_gauge(
            "order_saga_database_up", "Whether the service's database answers and takes writes.", bool(found)
        )
        yield from found


WEB.register(DatabaseMeasures())


def check_database() -> str:
    """Whether the database answers in time, and takes writes.

    A probe writes nothing, unless this process had a write refused: a full disk shows in no other way.
    """
    began = time.monotonic()
    try:
        with limits.answer_within(ANSWER_SECONDS):
            if refusal := writes.find_refusal():
                return refusal
    except (DatabaseError, InterfaceError) as error:
        limits.close_unless_in_transaction()  # what comes next connects again
        if time.monotonic() - began >= ANSWER_SECONDS:
            return f"does not answer within {ANSWER_SECONDS:g} s"
        return f"away: {type(error).__name__}"
    if writes.refused_lately.is_set():
        if not database_gate.database_takes_writes():
            return f"{writes.REFUSES}: the last one was refused, as with a full disk; see the log"
        writes.refused_lately.clear()
    return GOOD


def check_broker(app: Celery) -> dict[str, str]:
    """Whether any host of the broker answers, and whether each queue of this service has a worker."""
    found: Connection | None = None
    try:
        found = app.connection_for_read()
        transport.connect(found, BROKER_SECONDS / max(1, len(found.alt or ())))
        if found.transport.driver_type != "amqp":
            return {"broker": GOOD, "workers": GOOD}
        queues = Topology.load({settings.SERVICE: settings.SUBSCRIPTIONS}).worker_queues(settings.SERVICE)
        found.connection.answer_seconds = ANSWER_SECONDS
        channel = found.default_channel
        idle = [queue for queue in queues if not channel.queue_declare(queue, passive=True).consumer_count]
        found.close()  # The broker's log would warn of a client that is gone without a word, at each look.
    except broker_errors(app) as error:
        return {"broker": f"away: {type(error).__name__}", "workers": "unknown: no broker"}
    finally:
        if found is not None:
            drop_connection(found)
    return {"broker": GOOD, "workers": f"none on {', '.join(idle)}" if idle else GOOD}


def ask_database(check: Callable[[], str], by: float) -> str:
    """Return what a check says, or why that is not known.

    Args:
        by: until when the database must have answered; 0: it does not answer at all.
    """
    if not by:
        return "unknown: no database"
    if (left := min(by - time.monotonic(), ANSWER_SECONDS)) <= 0:
        return "unknown: the database took too long for the checks before"
    try:
        with limits.answer_within(left):
            return check()
    except (DatabaseError, InterfaceError) as error:
        limits.close_unless_in_transaction()
        return f"unknown: {str(error).partition(chr(10))[0]}"
