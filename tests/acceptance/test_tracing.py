"""One trace of an order: from its request through every message, statement and call, and back through the undos."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from celery_config.common.services import SERVICES
from tests.acceptance.shop import ADDRESS, UNREACHABLE, Shop, until
from tests.trace_collector import Collector, Span, collect

PROCESSES = [f"{service}-{process}" for service in SERVICES for process in ("web", "worker", "relay")]
ORDERED = "POST api/orders/"
CALLED = "POST api/commands/"
STEPS = [
    "payment.authorize_payment",
    "inventory.reserve_stock",
    "shipment.book_shipment",
    "payment.capture_payment",
    "inventory.commit_stock",
    "shipment.dispatch_shipment",
]


@pytest.fixture(scope="module")
def collector(open_shop: Shop) -> Iterator[Collector]:
    with collect() as collector:
        settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "200"}
        # A step that a busy machine carries out late is not sent again: each is in its trace once.
        settings["SAGA_TIME_SCALE"] = "0.2"
        with open_shop.restarted_with(settings, *PROCESSES):
            yield collector


def trace_order(shop: Shop, collector: Collector, *names: str, **fields: Any) -> list[Span]:
    """Place an order as a part of its client's trace, and return the trace when the spans `names` are there.

    Each process sends its spans when it likes, so all parents are waited for too.

    Args:
        names: each as often as there are spans with it.
    """
    trace, client = uuid4().hex, uuid4().hex[:16]
    answer = shop.shopper.http.post(
        "/api/orders/",
        params={"format": "json"},
        json=shop.order(**fields),
        headers={"traceparent": f"00-{trace}-{client}-01"},
    )
    assert answer.status_code == 202, answer.text
    shop.ends([answer.json()["order"]])

    def read_whole() -> list[Span]:
        spans = collector.read_trace(trace)
        known = {client, *(span.id for span in spans)}
        missing = Counter(names) - Counter(span.name for span in spans)
        return spans if {span.parent for span in spans} <= known and not missing else []

    return until(read_whole, f"the trace has no gap and the spans {', '.join(names)}")


def find_spans(spans: list[Span], name: str) -> list[Span]:
    return [span for span in spans if span.name == name]


def find_way(spans: list[Span], last: str) -> list[str]:
    """The names of the spans from the first to the one that is named `last`, each the parent of the next."""
    by_id = {span.id: span for span in spans}
    at: Span | None = find_spans(spans, last)[-1]
    way: list[str] = []
    while at is not None:
        way.append(at.name)
        at = by_id.get(at.parent)
    return way[::-1]


def test_of_an_order_that_a_saga_carries(shop: Shop, collector: Collector) -> None:
    spans = trace_order(shop, collector, "order.complete")
    assert find_way(spans, "order.complete") == [ORDERED, f"publish {STEPS[0]}", *STEPS, "order.complete"]
    steps = [span for span in spans if span.name in STEPS]
    assert {span.service for span in steps} == {*SERVICES} - {"order"}
    assert len({span.attributes["saga"] for span in steps}) == 1
    (charged,) = find_spans(spans, "payment.capture_payment")
    below = [span for span in spans if span.parent == charged.id]
    assert any("/provider/authorizations/" in span.attributes.get("http.url", "") for span in below)
    assert any("db.statement" in span.attributes for span in spans if span.service == "order")
    assert all(ADDRESS["line1"] not in str(span.attributes) for span in spans)


def test_of_one_that_is_undone(shop: Shop, collector: Collector) -> None:
    spans = trace_order(shop, collector, "order.compensated", "order.step_failed", address=UNREACHABLE)
    assert find_way(spans, "order.compensated") == [
        *(ORDERED, "publish payment.fence", "payment.fence", "shipment.cancel_shipment"),
        *("inventory.release_stock", "payment.void_payment", "order.compensated"),
    ]
    (refused,) = find_spans(spans, "shipment.book_shipment")
    assert refused.failed
    assert find_way(spans, "order.step_failed")[-2:] == ["shipment.book_shipment", "order.step_failed"]


def test_of_one_whose_step_is_tried_again(shop: Shop, collector: Collector) -> None:
    spans = trace_order(shop, collector, "order.complete", payment_token="tok_error_after_charging")
    step = "payment.authorize_payment"
    way = find_way(spans, "order.complete")
    assert way[way.index(step) :][:3] == [step, f"publish {step}", step]
    assert [span.attributes["retries"] for span in find_spans(spans, step)] == [0, 1]


def test_of_one_that_events_carry(shop: Shop, collector: Collector) -> None:
    last = "receive shipment.shipment_departed"
    spans = trace_order(shop, collector, last, "publish order.order_placed", flow="choreographed")
    way = find_way(spans, last)
    events = [
        *("order.order_placed", "payment.payment_received", "inventory.inventory_fetched"),
        *("shipment.shipment_arranged", "payment.payment_collected", "inventory.inventory_issued"),
    ]
    assert way == [ORDERED, *(f"receive {event}" for event in events), last]
    assert {span.service for span in spans} == {*SERVICES}
    assert find_spans(spans, f"publish {events[0]}")


def test_of_one_whose_commands_go_over_rest(shop: Shop, collector: Collector) -> None:
    with shop.restarted_with({"PLACE_ORDER_VERSION": "3"}, "order-web"):
        spans = trace_order(shop, collector, "order.complete", *[CALLED] * len(STEPS))
    calls = find_spans(spans, CALLED)
    # A participant that answers late is called again, so there may be more calls than steps.
    assert Counter(span.service for span in calls) >= Counter(step.partition(".")[0] for step in STEPS)
    by_id = {span.id: span for span in spans}
    assert {by_id[by_id[call.parent].parent].name for call in calls} == {"order.call"}


def test_messages_that_are_carried_out_together_are_linked(shop: Shop, collector: Collector) -> None:
    with shop.paused("inventory-worker"):
        orders = shop.place_all([shop.order() for _ in range(5)])
        until(lambda: shop.unpublished("order") == 0, "all are sent")
    shop.ends(orders)

    def find_batch() -> list[Span]:
        return [span for span in find_spans(collector.spans, "batch") if span.service == "inventory"]

    (batch, *_) = until(find_batch, "the span of a batch")
    assert len(batch.links) == batch.attributes["messages"] > 1
    assert any(span.parent == batch.id and "db.statement" in span.attributes for span in collector.spans)
