"""What a worker may be given, and what not; no message makes the check raise."""

from __future__ import annotations

import json
from typing import Any

import pytest
from kombu.message import Message

from celery_config.broker.topology import MOST_EVENTS
from celery_config.broker.validation import MAX_BYTES, MAX_DEPTH, MAX_SEPARATORS, find_fault

TASK = "inventory.reserve_stock"


def message(body: Any = None, **headers: Any) -> Message:
    raw = json.dumps([[], {}, None]) if body is None else body
    return Message(
        body=raw,
        headers={"task": TASK, "id": "1", **headers},
        content_type="application/json",
        content_encoding="utf-8",
        accept={"application/json"},
    )


def test_a_task_that_is_not_ours() -> None:
    """Celery has tasks of its own in every app; and a worker would run them."""
    assert find_fault(message(), {TASK}) is None
    assert (
        find_fault(message(task="celery.backend_cleanup"), {TASK}) == "unknown task 'celery.backend_cleanup'"
    )


def link(task: str = "shipment.book_shipment", **route: Any) -> dict[str, Any]:
    options = {"exchange": "tasks", "routing_key": "shipment.book_shipment", **route}
    return {"task": task, "args": [], "kwargs": {}, "options": options}


def came(
    exchange: str, key: str, task: str, kwargs: Any = None, *, receiver: str = "", **embed: Any
) -> str | None:
    """The fault of a message that came through this exchange under this key."""
    made = message(json.dumps([[], kwargs or {}, embed or None]), task=task)
    made.delivery_info = {"exchange": exchange, "routing_key": key}
    return find_fault(made, receiver=receiver)


@pytest.mark.parametrize(
    "body",
    ['"' + "x" * MAX_BYTES + '"', "[" + "{}," * MAX_SEPARATORS + "{}]", "[1" + ",1" * MAX_SEPARATORS + "]"],
    ids=["bytes", "objects", "numbers"],
)
def test_a_body_that_would_fill_the_memory_is_not_decoded(body: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty megabytes of empty objects took a worker 700 MB, and then the reader of dead letters, at each start."""
    made = message(body)
    monkeypatch.setattr(Message, "decode", None)
    assert str(find_fault(made)).startswith("its body has ")


class TestWhoMaySendIt:
    """The broker lets a service use some keys, so a key must tell the truth about its task; a chain as well."""

    PRODUCT = {"type": "inventory.product_changed"}

    @pytest.mark.parametrize(
        ("exchange", "key", "task"),
        [
            ("tasks", "payment.events.receive", "events.receive"),
            ("urgent-tasks", "payment.events.receive_all", "events.receive_all"),
            ("commands", "payment", "payment.capture_payment"),
        ],
    )
    def test_it_came_to_another_than_the_key_says(self, exchange: str, key: str, task: str) -> None:
        """The broker checks the right to this key, and not that to the keys in `CC` and `BCC`."""
        sent = {**self.PRODUCT, "events": [self.PRODUCT]}
        assert came(exchange, key, task, sent, receiver="payment") is None
        assert str(came(exchange, key, task, sent, receiver="order")).startswith("forged: it came to order")

    def test_an_event_that_is_announced_again_is_of_the_type_before_it_and_for_one_service(self) -> None:
        key = "inventory.product_changed.again.order"
        assert came("events", key, "events.receive", self.PRODUCT, receiver="order") is None
        assert str(came("events", key, "events.receive", self.PRODUCT, receiver="payment")).startswith(
            "forged"
        )
        other = {"type": "inventory.product_deleted"}
        assert "has another type" in str(came("events", key, "events.receive", other, receiver="order"))

    @pytest.mark.parametrize("exchange", ["x.payment.control.pidbox", "unrouted", "celeryev"])
    def test_it_came_through_an_exchange_that_is_not_ours(self, exchange: str) -> None:
        """A service may declare exchanges of its own and bind them to ours: ours show their own names."""
        key, task = "order.events.receive", "events.receive"
        assert str(came(exchange, key, task, self.PRODUCT, receiver="order")).startswith("forged: it came")
        assert came("events", self.PRODUCT["type"], task, self.PRODUCT, receiver="order") is None

    @pytest.mark.parametrize(
        ("exchange", "key", "task", "kwargs"),
        [
            ("tasks", TASK, TASK, {}),
            ("urgent-tasks", "order.step_failed", "order.step_failed", {}),
            ("tasks", "order.events.receive", "events.receive", PRODUCT),
            ("events", "inventory.product_changed", "events.receive", PRODUCT),
            ("events", "inventory.product_changed", "events.receive_all", {"events": [PRODUCT, PRODUCT]}),
            ("commands", "inventory", TASK, {}),
        ],
    )
    def test_what_services_send(self, exchange: str, key: str, task: str, kwargs: Any) -> None:
        assert came(exchange, key, task, kwargs) is None

    @pytest.mark.parametrize(
        ("exchange", "key", "task", "kwargs"),
        [
            ("tasks", "order.step_failed", "events.receive", PRODUCT),
            ("tasks", "inventory.release_stock", TASK, {}),
            ("tasks", "elsewhere.events.receive", "events.receive", PRODUCT),
            ("commands", "order", "events.receive", PRODUCT),
            ("commands", "order", "copies.resync", {}),
            ("events", "payment.payment_captured", "events.receive", PRODUCT),
            ("events", "payment.payment_captured", "events.receive", {}),
            ("events", "payment.x", "events.receive_all", {"events": [{"type": "payment.x"}, PRODUCT]}),
            ("events", "payment.x", "events.receive_all", {"events": [5]}),
            ("events", "inventory.reserve_stock", TASK, {}),
            ("events", "payment.x", "events.receive", PRODUCT | {"events": [{"type": "payment.x"}]}),
        ],
    )
    def test_what_they_do_not(self, exchange: str, key: str, task: str, kwargs: Any) -> None:
        assert str(came(exchange, key, task, kwargs)).startswith("forged: ")

    @pytest.mark.parametrize("exchange", ["events", "tasks"])
    @pytest.mark.parametrize("events", [5, None, "x", {"type": 1}, [PRODUCT] * (MOST_EVENTS + 1)])
    def test_a_batch_is_a_list_and_no_longer_than_ours(self, exchange: str, events: Any) -> None:
        """One message with 3,000 events became as many dead letters."""
        key = {"events": "inventory.product_changed", "tasks": "order.events.receive_all"}[exchange]
        fault = came(exchange, key, "events.receive_all", {"events": events})
        assert str(fault).startswith("malformed body: ")

    def test_a_chain_of_ours(self) -> None:
        legacy = link(exchange="commands", routing_key="shipment")
        assert came("tasks", TASK, TASK, chain=[link(), legacy], errbacks=[link()]) is None

    @pytest.mark.parametrize(
        "forged",
        [
            link(exchange="events", routing_key="inventory.product_changed"),
            link("events.receive", exchange="events", routing_key="inventory.product_changed"),
            link("events.receive", routing_key="inventory.events.receive"),
            link("celery.map"), link(exchange="celeryev"), link(exchange=""), link(routing_key="order.complete"),
            link("payment.No9", routing_key="payment.No9"), link(exchange="commands", routing_key="nowhere"),
            {"task": "shipment.book_shipment"}, {"task": "shipment.book_shipment", "options": "x"},
        ],
        ids=str,
    )  # fmt: skip
    @pytest.mark.parametrize("where", ["chain", "errbacks", "callbacks"])
    def test_a_chain_that_would_use_our_rights(self, forged: dict[str, Any], where: str) -> None:
        assert str(came("tasks", TASK, TASK, **{where: [link(), forged]})).startswith("forged: ")

    @pytest.mark.parametrize(
        "options",
        [
            {"task_id": 7}, {"task_id": "x" * 256}, {"task_id": "\xe4"}, {"task_id": "x\n"}, {"mandatory": "x"},
            {"argsrepr": "x" * 1001}, {"kwargsrepr": 5}, {"link_error": 5}, {"link_error": [5]}, {"chain": []},
            {"countdown": 1}, {"eta": "x"}, {"expires": 5}, {"retries": "x"}, {"reply_to": "x"}, {"headers": {}},
            {"name": "x"}, {"shadow": "x"}, {"priority": 1}, {"exchange": 7}, {"routing_key": "payment." + "x" * 250},
        ],
        ids=str,
    )  # fmt: skip
    def test_a_link_that_could_not_be_sent(self, options: dict[str, Any]) -> None:
        """It stayed in its receiver's outbox, set aside, until an operator saw it."""
        assert str(came("tasks", TASK, TASK, chain=[link(**options)])).startswith("forged: ")

    @pytest.mark.parametrize(
        "other", [{"args": 5}, {"kwargs": 5}, {"task": "shipment." + "x" * 255}], ids=str
    )
    def test_a_link_with_other_parts_than_ours(self, other: dict[str, Any]) -> None:
        made = link(exchange="commands", routing_key="shipment") | other
        assert str(came("tasks", TASK, TASK, chain=[made])).startswith("forged: ")


@pytest.mark.parametrize(
    "headers",
    [
        {"id": "x" * 256},
        {"id": "an id\n"},
        {"root_id": "\ud800"},
        {"parent_id": "ä"},
        {"expires": "2020-01-01T00:00:00Z"},
        {"timelimit": [10, None]},
        {"shadow": "another name"},
        {"eta": "2999-01-01T00:00:00+00:00"},
        {"eta": 5},
        {"retries": 2**31},
        {b"\xff": 1},
    ],
)
def test_headers_that_do_harm(headers: dict[Any, Any]) -> None:
    made = message()
    made.headers |= headers
    assert str(find_fault(made)).startswith("malformed headers: ")


@pytest.mark.parametrize(
    "headers", [{"id": "x" * 255}, {"timelimit": [None, None]}, {"expires": None}, {"eta": None}]
)
def test_headers_that_do_not(headers: dict[str, Any]) -> None:
    assert find_fault(message(**headers)) is None


@pytest.mark.parametrize("wide", [1, 1000])
def test_a_body_may_be_wide_but_not_deep(wide: int) -> None:
    def body(depth: int) -> bytes:
        return b"[[" + b"[]," * wide + b"[" * depth + b"]" * depth + b"], {}, null]"

    assert find_fault(message(body(MAX_DEPTH // 2))) is None
    assert find_fault(message(body(MAX_DEPTH + 1))) == f"malformed body: nested deeper than {MAX_DEPTH}"
    assert "RecursionError" in str(find_fault(message(body(5_000))))
