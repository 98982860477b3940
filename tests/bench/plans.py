"""What pages, sweeps and the relay read of full tables: `python -m tests.bench.plans SERVICE`.

Every statement is explained as it runs; one JSON object a line says how many rows the greediest of each page looked at.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

from manage import SERVICES

READING = ("SELECT", "WITH", "UPDATE", "DELETE", "INSERT")
# An account's balance is the sum of all that was ever posted.
OF_EVERYTHING = {"payment_account"}


class Reader:
    """Explains each statement before it is executed."""

    def __init__(self) -> None:
        self.most = 0
        self.statement = ""
        self.seconds = 0.0

    def __call__(
        self, execute: Callable[..., Any], statement: str, values: Any, many: bool, context: dict[str, Any]
    ) -> Any:
        if statement.startswith(READING):
            with context["connection"].connection.cursor() as cursor:
                (plan,) = cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", values).fetchone()[0]
            self.seconds += plan["Execution Time"] / 1000
            if (rows := looked_at(plan["Plan"])) > self.most:
                self.most, self.statement = rows, statement
        return execute(statement, values, many, context)


def looked_at(plan: dict[str, Any]) -> int:
    """How many rows the scans of a plan went through."""
    below = plan.get("Plans", [])
    if below:
        return sum(map(looked_at, below))
    removed = plan.get("Rows Removed by Filter", 0) + plan.get("Rows Removed by Index Recheck", 0)
    return int((plan["Actual Rows"] + removed) * plan["Actual Loops"])


def main(argv: list[str]) -> int:
    (service,) = argv
    os.environ["DJANGO_SETTINGS_MODULE"] = f"{SERVICES[service]}.config.settings"
    importlib.import_module("django").setup()
    for what, ask in questions(service):
        print(json.dumps({"service": service, "what": what, **asked(ask)}), flush=True)
    return 0


def asked(ask: Callable[[], object]) -> dict[str, Any]:
    """What one question cost; it changes nothing."""
    from django.db import connection, transaction

    reader = Reader()
    with transaction.atomic():
        ask()  # whatever is read but once
        transaction.set_rollback(True)
    with transaction.atomic():
        with connection.execute_wrapper(reader):
            ask()
        transaction.set_rollback(True)
    return {"rows": reader.most, "ms": 1000 * reader.seconds, "statement": reader.statement[:300]}


def questions(service: str) -> Iterator[tuple[str, Callable[[], object]]]:
    """What is asked again and again, by whom or what."""
    from celery_config.messaging import retention
    from celery_config.messaging.duties import measure_lag
    from celery_config.messaging.outbox import publishing

    yield "relay: looks", publishing.has_due_rows
    yield "relay: takes", lambda: publishing.lock_due_rows(200)
    yield "relay: lag", measure_lag
    yield "relay: retention", retention.delete_expired
    yield from pages()
    if service == "order":
        yield from orchestrators()


def pages() -> Iterator[tuple[str, Callable[[], object]]]:
    """Each list of the admin and the page of its first row."""
    from django.contrib import admin
    from django.contrib.auth.models import User
    from django.test import Client
    from django.urls import reverse

    client = Client(headers={"host": "localhost"})
    client.force_login(User.objects.get(username="admin"))

    def get(url: str) -> Callable[[], object]:
        def ask() -> None:
            if (answer := client.get(url)).status_code != 200:
                raise RuntimeError(f"{url} answers {answer.status_code}")

        return ask

    for model in admin.site._registry:
        name = f"{model._meta.app_label}_{model._meta.model_name}"
        if name in OF_EVERYTHING:
            continue
        listed = reverse(f"admin:{name}_changelist")
        yield f"admin: list of {model._meta.verbose_name_plural}", get(listed)
        if not model._meta.proxy and (row := model._default_manager.first()):
            yield f"admin: {model._meta.verbose_name}", get(reverse(f"admin:{name}_change", args=[row.pk]))
    for path in ("/api/events/", "/api/barrier/"):
        yield f"API: {path}", get(path)


def orchestrators() -> Iterator[tuple[str, Callable[[], object]]]:
    """What the order service does besides."""
    from celery_config.saga.duties import forget_log, measure
    from celery_config.saga.engine import clock, watchdog
    from order_project import audit
    from order_project.retention import forget_keys

    yield "watchdog: drives what is due", lambda: watchdog.drive_due(clock.now())
    yield "watchdog: metrics", measure
    yield "retention: log", forget_log
    yield "retention: keys", forget_keys
    yield "audit: a page of orders", lambda: next(audit.order_chunks(), None)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
