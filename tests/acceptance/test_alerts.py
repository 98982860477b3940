"""The alerts of compose/monitoring/rules.yaml: each fires when its condition is made, and stops when it is over."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psycopg

from celery_config.broker.topology import commands_queue
from celery_config.common.services import SERVICES
from tests.acceptance import alerts
from tests.acceptance.alerts import evaluate, write_test
from tests.acceptance.shop import Shop, until
from tests.acceptance.test_operators import Door, Faults, assert_compensated, park_unvoided
from tests.acceptance.wire import Letter

# For each alert a series, its value on a quiet day, and one that makes it fire. Times count from the test's start.
CONDITIONS = {
    "ProcessDown": ('up{job="order-saga",service="payment",process="relay"}', 1, 0),
    "DatabaseAway": ('order_saga_database_up{service="payment"}', 1, 0),
    "OutboxLate": ('order_saga_outbox_age_seconds{service="payment"}', 50, 70),
    "RowsSetAside": ('order_saga_outbox_set_aside{service="payment"}', 0, 1),
    "TimeStands": ('order_saga_time_standing_seconds{cause="payment"}', 50, 70),
    "WatchdogLate": ("order_saga_due_age_seconds", 500, 700),
    "OpenPastDeadline": ("order_saga_open_past_deadline", 0, 1),
    "Parked": ('order_saga_sagas{status="parked"}', 0, 1),
    "ParkedOverdue": ("order_saga_parked_overdue", 0, 1),
    "DeadLetters": ('order_saga_dead_letters_total{reason="rejected"}', 0, 1),
    "WebhookContradicts": ('order_saga_webhooks_total{outcome="contradicts",service="payment"}', 0, 1),
    "WebhooksRefused": ('order_saga_webhooks_total{outcome="refused",service="payment"}', 0, 1),
    "QueueMembersMissing": ('order_saga_queue_missing_members{queue="payment.commands"}', 0, 1),
    "DeadLettersWait": ('order_saga_queue_waiting_dead_letters{queue="payment.commands"}', 0, 1),
    "BarrierUnanswered": ('order_saga_barrier_unanswered_seconds{service="payment"}', 600_000, 610_000),
    "CopyLate": ('order_saga_copy_lag_seconds{service="order",copy="catalogue_product"}', 50, float("inf")),
    "CopyDiffers": ('order_saga_copy_differences{service="order",copy="catalogue_product"}', 0, 3),
    "CopyNotCompared": (
        'order_saga_copy_checked_timestamp_seconds{service="order",copy="catalogue_product"}', 1e9, -200_000,
    ),
    "BooksDiffer": ('order_saga_book_differences{books="provider",kind="orphan"}', 0, 1),
    "BooksNotCompared": ('order_saga_books_swept_timestamp_seconds{books="provider"}', 1e9, -200_000),
}  # fmt: skip
QUIET: tuple[str, ...] = ()


def named(*alerts: str) -> list[str]:
    return [f"OrderSaga{each}" for each in alerts]


class TestEachRule:
    def test_fires_and_stops(self, tmp_path: Path) -> None:
        """Nothing else fires, and a second process that says the same changes nothing."""
        tests = []
        for alert, (series, quiet, loud) in CONDITIONS.items():
            twin = series.removesuffix("}") + ("," if "{" in series else "{") + 'instance="twin"}'
            rising = "_total" in series
            phases = [
                {series: quiet, twin: quiet},
                {series: loud, twin: quiet if rising or loud < quiet else loud},
                {series: loud if rising else quiet, twin: quiet},
            ]
            if "timestamp" in series:
                phases[1][twin] = loud  # the one that compared last counts
            tests.append(write_test(alert, phases, [QUIET, named(alert), QUIET]))
        evaluate(tmp_path, *tests)
        assert [*alerts.ALERTS] == named(*CONDITIONS)

    def test_names_metrics_that_exist(self) -> None:
        page = Path("docs/reference/metrics.md").read_text()
        known = {
            name: {*re.findall(r"\w+", labels)} | {"service"}
            for name, labels in re.findall(
                r"^\| `(order_saga_\w+)` \| \w+ \| ([\w, ]*) ?\|", page, re.MULTILINE
            )
        }
        for series, *_ in CONDITIONS.values():
            name, _, labels = series.partition("{")
            assert name == "up" or {*re.findall(r"(\w+)=", labels)} <= known[name], series


@contextmanager
def without(shop: Shop, *names: str) -> Iterator[None]:
    for name in names:
        shop.process(name).stop()
    try:
        yield
    finally:
        shop.restart_all(*names)


@contextmanager
def without_database(shop: Shop, service: str) -> Iterator[None]:
    """No process may connect to the service's database."""
    shop.administer(f"ALTER DATABASE {service} ALLOW_CONNECTIONS false")
    shop.administer(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{service}'")
    try:
        yield
    finally:
        shop.administer(f"ALTER DATABASE {service} ALLOW_CONNECTIONS true")


def execute(shop: Shop, service: str, statement: str) -> None:
    assert shop.stack.postgres is not None
    with psycopg.connect(shop.stack.postgres.superuser_url(service)) as connection:
        connection.execute(statement)


@contextmanager
def alarm(shop: Shop) -> Iterator[None]:
    """RabbitMQ's memory alarm: it delivers, and takes nothing."""
    assert shop.stack.rabbitmq is not None
    shop.stack.rabbitmq.ctl("set_vm_memory_high_watermark", "absolute", "1")
    try:
        yield
    finally:
        shop.stack.rabbitmq.ctl("set_vm_memory_high_watermark", "absolute", "1GB")


def scrape(shop: Shop) -> alerts.Series:
    targets = {}
    for service in SERVICES:
        targets[service, "web"] = f"{shop.stack.url(service)}/metrics"
        for kind in ("worker", "relay"):
            port = (shop.process(f"{service}-{kind}").env or {})["METRICS_PORT"]
            targets[service, kind] = f"http://127.0.0.1:{port}/metrics"
    return alerts.scrape(targets)


def stands_for(shop: Shop, cause: str) -> bool:
    return shop.rows("order", "SELECT stands_for FROM saga_sagaclock")[0]["stands_for"] == cause


def flow(shop: Shop, service: str = "order") -> httpx.Response:
    return httpx.get(f"{shop.stack.url(service)}/flowz", trust_env=False, timeout=10.0)


AGE = """
    UPDATE saga_sagaclock
        SET stands_since = stands_since - interval '1 hour', ticked_at = ticked_at - interval '1 hour';
    UPDATE saga_sagainstance SET started_at = started_at - interval '1 hour' WHERE ended_at IS NULL;
    UPDATE messaging_outboxmessage SET due_at = due_at - interval '1 hour' WHERE published_at IS NULL
"""
"""It has been so for an hour."""
NOT_FOLLOWED = "UPDATE copies_copystate SET looked_at = looked_at - interval '1 hour', behind_since = NULL"


def test_what_stands_still_is_told(shop: Shop, tmp_path: Path) -> None:
    """Everything that can go wrong at once goes wrong; then it is mended, and all is quiet."""
    faults, door = Faults(shop), Door(shop)
    until(lambda: flow(shop).is_success, "everything moves")
    before = scrape(shop)

    order, saga = park_unvoided(shop, faults, "error_500")
    execute(
        shop,
        "order",
        "UPDATE saga_sagainstance SET answer_by = now() - interval '1 hour' WHERE status = 'parked'",
    )
    forged = httpx.post(f"{shop.stack.url('payment')}/api/provider-events/", json={}, trust_env=False)
    assert forged.is_client_error
    execute(
        shop,
        "payment",
        "INSERT INTO messaging_outboxmessage (kind, name, payload) VALUES ('task', 'none', '{}')",
    )
    aside = "SELECT 1 FROM messaging_outboxmessage WHERE fault IS NOT NULL"
    until(lambda: shop.rows("payment", aside), "the row is set aside")
    letters = len(shop.dead_letters())
    shop.wire.send(Letter(commands_queue("order"), b"{", {"content_type": "application/json"}))
    until(lambda: len(shop.dead_letters()) > letters, "the dead letter is kept")
    execute(shop, "order", "UPDATE order_catalogueproduct SET price = price + 1 WHERE sku = 'TEA'")
    assert shop.command("order", "sync", "--check", "--patience", "0.1").returncode == 1
    with_letter = scrape(shop)
    with without(shop, "payment-worker"):
        until(lambda: stands_for(shop, "payment"), "saga time stands")
        with without(shop, "order-relay"):
            waiting = [shop.place()]
            execute(shop, "order", AGE)
            execute(shop, "order", NOT_FOLLOWED)
            with without_database(shop, "shipment"):
                meanwhile = scrape(shop)
                told = flow(shop)
            ready = httpx.get(f"{shop.stack.url('order')}/readyz", trust_env=False)
    execute(shop, "payment", "DELETE FROM messaging_outboxmessage WHERE fault IS NOT NULL")
    faults.mend()
    door.ask(saga, "retry")
    assert_compensated(shop, order)
    assert shop.command("order", "sync", "--repair", "--patience", "0.1").returncode == 0
    assert shop.command("order", "sync").returncode == 0
    shop.all_confirmed(waiting)
    until(lambda: flow(shop).is_success, "everything moves again")
    after = scrape(shop)

    with alarm(shop):
        until(lambda: stands_for(shop, "broker takes no messages"), "saga time stands")
        waiting = [shop.place()]
        execute(shop, "order", AGE)
        alarmed = scrape(shop)
    shop.all_confirmed(waiting)
    until(lambda: flow(shop).is_success, "everything moves again")
    in_the_end = scrape(shop)

    assert ready.status_code == 200
    assert told.status_code == 503
    said = told.json()
    assert said["relay"].startswith("late: 36")
    assert said["saga_time"].startswith("stands for 36")
    assert said["saga_time"].endswith("payment, no relay")
    assert said["participants"] == "without a worker: payment"
    assert said["deadlines"].startswith("warning: ")
    rose = named("DeadLetters", "WebhooksRefused")
    parked = named("CopyDiffers", "Parked", "ParkedOverdue", "RowsSetAside")
    blocked = named("OutboxLate", "TimeStands", "WatchdogLate", "OpenPastDeadline")
    down = [*blocked, *named("ProcessDown", "DatabaseAway", "CopyLate")]
    evaluate(
        tmp_path,
        write_test(
            "a stack in trouble",
            [before, with_letter, meanwhile, after, alarmed, in_the_end],
            [QUIET, [*parked, *rose], [*parked, *down], QUIET, blocked, QUIET],
        ),
    )
