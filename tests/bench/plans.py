"""Query plans of pages, sweeps and the relay on full tables: `python -m tests.bench.plans SERVICE`.

Each statement is explained before it runs. One JSON object a line says for each question how many rows a statement of
it read at most.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

from tests.bench.service import set_up_django

READING = ("SELECT", "WITH", "UPDATE", "DELETE", "INSERT")
# The balance of an account is the sum of all its postings: its pages read every row.
READS_EVERYTHING = {"payment_account"}


class Explainer:
    """Explains each statement before it is executed, and keeps the plan that reads the most rows."""

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
            if (rows := count_scanned_rows(plan["Plan"])) > self.most:
                self.most, self.statement = rows, statement
        return execute(statement, values, many, context)


def count_scanned_rows(plan: dict[str, Any]) -> int:
    """Return how many rows the scans of a plan read."""
    below = plan.get("Plans", [])
    if below:
        return sum(map(count_scanned_rows, below))
    removed = plan.get("Rows Removed by Filter", 0) + plan.get("Rows Removed by Index Recheck", 0)
    return int((plan["Actual Rows"] + removed) * plan["Actual Loops"])


def main(argv: list[str]) -> int:
    (service,) = argv
    set_up_django(service)
    for what, ask in list_questions(service):
        print(json.dumps({"service": service, "what": what, **explain_question(ask)}), flush=True)
    return 0


def explain_question(ask: Callable[[], object]) -> dict[str, Any]:
    """Return what one question costs; its changes are rolled back."""
    from django.db import connection, transaction

    explainer = Explainer()
    with transaction.atomic():
        ask()  # the first time also reads what is then cached
        transaction.set_rollback(True)
    with transaction.atomic():
        with connection.execute_wrapper(explainer):
            ask()
        transaction.set_rollback(True)
    return {"rows": explainer.most, "ms": 1000 * explainer.seconds, "statement": explainer.statement[:300]}


def list_questions(service: str) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield the questions that are asked regularly, with the names of those that ask."""
    from celery import current_app

    from celery_config.broker.publisher import Publisher
    from celery_config.messaging import retention
    from celery_config.messaging.measures import measure_outbox
    from celery_config.messaging.outbox import publishing

    publisher = Publisher(current_app._get_current_object(), timeout=1.0)
    yield "relay: looks", publishing.has_due_rows
    yield "relay: takes", lambda: publishing.lock_due_rows(publisher, 200)
    yield "web: metrics of the outbox", lambda: list(measure_outbox())
    yield "relay: retention", retention.delete_expired
    yield from list_pages()
    if service == "order":
        yield from list_order_questions()


def list_pages() -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield each list of the admin, the page of its first row, and the pages of the API."""
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
        if name in READS_EVERYTHING:
            continue
        listed = reverse(f"admin:{name}_changelist")
        yield f"admin: list of {model._meta.verbose_name_plural}", get(listed)
        if not model._meta.proxy and (row := model._default_manager.first()):
            yield f"admin: {model._meta.verbose_name}", get(reverse(f"admin:{name}_change", args=[row.pk]))
    for path in ("/api/events/", "/api/barrier/"):
        yield f"API: {path}", get(path)


def list_order_questions() -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield the questions that only the order service asks."""
    from celery_config.saga.duties import delete_old_log
    from celery_config.saga.engine import clock, watchdog
    from celery_config.saga.engine.saga_flow import SAGAS
    from celery_config.saga.measures import measure_flows, measure_time
    from order_project import audit

    yield "watchdog: drives what is due", lambda: watchdog.redrive_due(SAGAS, clock.now())
    yield "web: metrics of flows", lambda: list(measure_flows())
    yield "web: metrics of saga time", lambda: list(measure_time())
    yield "retention: log", delete_old_log
    yield "audit: a page of orders", lambda: next(audit.iterate_orders(), None)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
