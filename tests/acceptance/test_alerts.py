"""The alerts of compose/monitoring/rules.yaml: each fires when its condition is made, and stops when it is over."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import httpx
import psycopg

from celery_config.broker.topology import commands_queue
from celery_config.common.identifiers import uuid7
from celery_config.common.services import SERVICES
from tests.acceptance import alerts
from tests.acceptance.alerts import NAMED, evaluate, write_test
from tests.acceptance.shop import CURRENCY, Shop, until
from tests.acceptance.test_operators import Door, Faults, assert_compensated, park_unvoided
from tests.acceptance.test_unknown_outcomes import Outside
from tests.acceptance.wire import Letter

# For each alert a series, its value on a quiet day, and one that makes it fire. Times count from the test's start.
CONDITIONS = {
    "ProcessDown": ('up{job="order-saga",service="payment",process="relay"}', 1, 0),
    "NotifierDead": ("order_saga_notifier_silent_seconds", 9, 130),
    "NotificationsGivenUp": ("order_saga_notifications_given_up", 0, 1),
    "DatabaseAway": ('order_saga_database_up{service="payment"}', 1, 0),
    "OutboxLate": ('order_saga_outbox_age_seconds{service="payment"}', 50, 70),
    "MessagesFail": ('order_saga_trouble_seconds{service="payment",cause="database"}', 20, 40),
    "RowsSetAside": ('order_saga_outbox_set_aside{service="payment"}', 0, 1),
    "Recovering": ('order_saga_recovering{service="payment"}', 0, 1),
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
NEEDS_A_CLUSTER: set[str] = set()
HOUR = 3600.0


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


class TestSums:
    """How several processes of a service are added up."""

    def test_what_each_web_reads_counts_once_and_what_each_process_counts_is_added(
        self, tmp_path: Path
    ) -> None:
        waits, sent = "order_saga_outbox_age_seconds", "order_saga_outbox_published_total"
        series = {
            f'{waits}{{service="payment",instance="a"}}': "40x20",
            f'{waits}{{service="payment",instance="b"}}': "50x20",
            f'{sent}{{service="payment",kind="task",instance="a"}}': "0+60x20",
            f'{sent}{{service="payment",kind="task",instance="b"}}': "0+30x20",
        }
        of_payment = 'service="payment"'
        recorded = {
            f"service:{waits}:max": (of_payment, 50),
            "service_kind:order_saga_outbox_published:rate5m": (f'{of_payment}, kind="task"', 1.5),
        }
        evaluate(
            tmp_path,
            {
                "name": "sums",
                "interval": "1m",
                "input_series": [{"series": name, "values": values} for name, values in series.items()],
                "promql_expr_test": [
                    {
                        "expr": name,
                        "eval_time": "15m",
                        "exp_samples": [{"labels": f'{{__name__="{name}", {labels}}}', "value": value}],
                    }
                    for name, (labels, value) in recorded.items()
                ],
            },
        )

    def test_all_that_alerts_and_dashboards_read_is_exported(self, shop: Shop) -> None:
        exported = alerts.list_names(list_targets(shop))
        assert {re.sub(r"_bucket$", "", name) for name in NAMED} - exported == NEEDS_A_CLUSTER


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
    return alerts.scrape(list_targets(shop))


def list_targets(shop: Shop) -> dict[tuple[str, str], str]:
    targets = {}
    for service in SERVICES:
        targets[service, "web"] = f"{shop.stack.url(service)}/metrics"
        for kind in ("worker", "relay"):
            port = shop.process(f"{service}-{kind}").argv[-1]
            targets[service, kind] = f"http://127.0.0.1:{port}/metrics"
    return targets


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


OFTEN = {"BOOKS_CHECK_HOURS": "0.0003"}
OLD = f"""
    INSERT INTO messaging_barrierrow (key, saga, step, command, command_hash, action, undo, created_at) VALUES (
        gen_random_uuid(), '{uuid7(datetime.now(UTC) - timedelta(days=200))}', 'book-shipment',
        'shipment.book_shipment', '', 'done', '', now() - interval '200 days'
    )"""
"""A barrier row of a saga that the order service does not know."""
NOT_OLD = "DELETE FROM messaging_barrierrow WHERE created_at < now() - interval '100 days'"


def find_compared(found: alerts.Series) -> set[str]:
    """The books that a relay has compared since it began."""
    name = "order_saga_books_swept_timestamp_seconds"
    return {
        books
        for books in ("provider", "carrier")
        for series, value in found.items()
        if series.startswith(name) and f'books="{books}"' in series and value > -HOUR
    }


def find_positive(found: alerts.Series, name: str) -> list[str]:
    return [series for series, value in found.items() if series.startswith(name) and value > 0]


def weigh(shop: Shop, order: str, more: str) -> None:
    """Let the carrier's books and ours say different weights of a parcel."""
    change = f'UPDATE shipment_shipment SET weight_grams = weight_grams {more} WHERE "order" = '
    execute(shop, "shipment", f"{change}'{order}'")


def test_what_stands_still_is_told(shop: Shop, tmp_path: Path) -> None:
    """Everything that can go wrong at once goes wrong; then it is mended, and all is quiet."""
    done = shop.place()
    shop.all_confirmed([done])
    for service in (
        "order",
        "payment",
        "shipment",
    ):  # the stack may be so young that nothing was compared yet
        assert shop.command(service, "sync").returncode == 0
    ages = {"order": "3 days"} | dict.fromkeys(("payment", "inventory", "shipment"), "0 days")
    for service, age in ages.items():
        execute(shop, service, f"UPDATE copies_copystate SET checked_at = now() - interval '{age}'")
    execute(shop, "shipment", OLD)
    weigh(shop, done, "+ 1")
    faults = Faults(shop)
    faults.plan("/provider/authorizations")
    with shop.restarted_with(OFTEN, "payment-relay", "shipment-relay"):
        for name in ("order_saga_book_differences", "order_saga_barrier_unanswered_seconds"):
            until(lambda name=name: find_positive(scrape(shop), name), f"{name} is positive")
        uncompared = scrape(shop)
        faults.mend()
        weigh(shop, done, "- 1")
        assert shop.command("order", "sync").returncode == 0
        until(lambda: find_compared(scrape(shop)) == {"provider", "carrier"}, "all books are compared")
        until(lambda: not find_positive(scrape(shop), "order_saga_book_differences"), "they are equal")
        let_stand_still(shop, faults, done, uncompared, tmp_path)


def let_stand_still(shop: Shop, faults: Faults, done: str, uncompared: alerts.Series, tmp_path: Path) -> None:
    door, outside = Door(shop), Outside(shop)
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
    event = {"id": uuid4().hex, "type": "authorization.captured", "idempotency_key": str(uuid4())}
    amounts = {"amount": 1, "currency": CURRENCY, "captured": 1}
    told = outside.tell("payment", {**event, "data": {"id": "pa_1", "reference": done, **amounts}})
    assert told.json()["outcome"] == "contradicts"
    for service in SERVICES:
        execute(
            shop,
            service,
            "INSERT INTO messaging_outboxmessage (kind, name, payload) VALUES ('task', 'none', '{}')",
        )
    aside = "SELECT 1 FROM messaging_outboxmessage WHERE fault IS NOT NULL"
    for service in SERVICES:
        until(lambda service=service: shop.rows(service, aside), f"{service} sets the row aside")
    letters = len(shop.dead_letters())
    shop.wire.send(Letter(commands_queue("order"), b"{", {"content_type": "application/json"}))
    until(lambda: len(shop.dead_letters()) > letters, "the dead letter is kept")
    execute(shop, "order", "UPDATE order_catalogueproduct SET name = name || '!' WHERE sku = 'TEA'")
    assert shop.command("order", "sync", "--check", "--patience", "0.1").returncode == 1
    with_letter = scrape(shop)
    with without(shop, "payment-worker", "shipment-relay"):
        until(lambda: stands_for(shop, "payment"), "saga time stands")
        with without(shop, "order-relay"):
            waiting = [shop.place()]
            execute(shop, "order", AGE)
            execute(shop, "order", NOT_FOLLOWED)
            with without_database(shop, "shipment"):
                meanwhile = scrape(shop)
                # An answer is shared for a second: the first may be of before.
                until(lambda: "late" in flow(shop).json()["relay"], "the page says that the relay is late")
                moves = flow(shop)
            execute(shop, "shipment", NOT_OLD)
            ready = httpx.get(f"{shop.stack.url('order')}/readyz", trust_env=False)
    for service in SERVICES:
        execute(shop, service, "DELETE FROM messaging_outboxmessage WHERE fault IS NOT NULL")
    faults.mend()
    door.ask(saga, "retry")
    assert_compensated(shop, order)
    assert shop.command("order", "sync", "--repair", "--patience", "0.1").returncode == 0
    assert shop.command("order", "sync").returncode == 0
    shop.all_confirmed(waiting)
    until(lambda: flow(shop).is_success, "everything moves again")
    until(lambda: find_compared(scrape(shop)) == {"provider", "carrier"}, "all books are compared again")
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
    assert moves.status_code == 503
    said = moves.json()
    assert said["relay"].startswith("late: 36")
    assert said["saga_time"].startswith("stands for 36")
    assert said["saga_time"].endswith("payment, no relay")
    assert said["participants"] == "without a worker: payment"
    assert said["deadlines"].startswith("warning: ")
    unanswered = named("BarrierUnanswered")
    unaware = [*named("BooksDiffer", "BooksNotCompared", "CopyNotCompared"), *unanswered]
    rose = named("DeadLetters", "WebhookContradicts", "WebhooksRefused")
    parked = named("CopyDiffers", "Parked", "ParkedOverdue", "RowsSetAside")
    blocked = named("OutboxLate", "TimeStands", "WatchdogLate", "OpenPastDeadline")
    down = [*blocked, *named("ProcessDown", "DatabaseAway", "CopyLate")]
    test = write_test(
        "a stack in trouble",
        [uncompared, before, with_letter, meanwhile, after, alarmed, in_the_end],
        [unaware, unanswered, [*parked, *rose, *unanswered], [*parked, *down], QUIET, blocked, QUIET],
    )
    aside_in_each = 'ALERTS{alertname="OrderSagaRowsSetAside",alertstate="firing"}'
    test["promql_expr_test"].append(alerts.expect(aside_in_each, phase=2, count=len(SERVICES)))
    evaluate(tmp_path, test)
