"""Messages that must not be sent: no worker dies of them, nothing is lost, and each is kept with its reason."""

from __future__ import annotations

import json
import os
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pytest

from celery_config.broker.topology import commands_queue, events_queue, task_queues, urgent_queue
from celery_config.common.services import SERVICES
from compose.local.forks import ServiceParent
from compose.local.process import Process
from tests import hostile_properties
from tests.acceptance.killers import BREAK, EXIT, EXIT_CODE_OF_HANG, HANG, KILL
from tests.acceptance.shop import Shop, until
from tests.acceptance.wire import Letter
from tests.long_form import is_long

INNOCENTS = 100
FLOOD = 10_000 if is_long() else 2_000
# A quarter of the limit of the queues: the test is shorter, and harder for the innocents.
DELIVERY_LIMIT = 5
SMALL = 50_000  # bytes
UNPACKED = 400_000_000  # bytes, of a message of 2 MB


def letter(
    queue: str,
    body: Any,
    *,
    task: str = "inventory.reserve_stock",
    headers: dict[str, Any] | None = None,
    raw: bytes | None = None,
    key: bytes | None = None,
) -> Letter:
    """A message as Celery would write it, but for what the test says."""
    if headers == PLAIN or raw is not None:
        return Letter(queue, body, {}, raw)
    if key is not None:
        headers = {"task": task, "id": str(uuid4()), "CC": [queue]}
    given = {"task": task, "id": str(uuid4()), "lang": "py"} if headers is None else headers
    content = {"content_type": "application/json", "content_encoding": "utf-8"}
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Letter(queue, text, {**content, "application_headers": given, "delivery_mode": 2}, key=key)


NO_EMBED = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
PLAIN = {"no": "AMQP properties at all"}
BOMB = zlib.compress(bytes(UNPACKED), 1)
HOSTILE: dict[str, dict[str, Any]] = {
    "a plain AMQP message": {"body": b"hello", "headers": PLAIN},
    "not JSON": {"body": b"\x00\xff{{{"},
    "cut off": {"body": b'[[], {"saga":'},
    "no headers": {"body": [[], {}, NO_EMBED], "headers": {}},
    "no id": {"body": [[], {}, NO_EMBED], "headers": {"task": "inventory.reserve_stock"}},
    "an id of the wrong type": {
        "body": [[], {}, NO_EMBED],
        "headers": {"task": "inventory.reserve_stock", "id": 7},
    },
    "a task of the wrong type": {"body": [[], {}, NO_EMBED], "headers": {"task": 7, "id": "x"}},
    "two elements": {"body": [[], {}]},
    "an object": {"body": {"hello": "world"}},
    "kwargs of the wrong type": {"body": [[], [], NO_EMBED]},
    "a number": {"body": 42},
    "unknown task": {"body": [[], {}, NO_EMBED], "task": "inventory.give_everything_away"},
    "a megabyte of garbage": {"body": os.urandom(1024 * 1024)},
    "a root of the wrong type": {
        "body": [[], {}, NO_EMBED],
        "headers": {"task": "inventory.reserve_stock", "id": "x", "root_id": 7},
    },
    "a time limit that is no pair": {
        "body": [[], {}, NO_EMBED],
        "headers": {"task": "inventory.reserve_stock", "id": "x", "timelimit": 5},
    },
    "a name for show that is none": {
        "body": [[], {}, NO_EMBED],
        "headers": {"task": "inventory.reserve_stock", "id": "x", "shadow": {"a": 1}},
    },
    "an ETA that is none": {
        "body": [[], {}, NO_EMBED],
        "headers": {"task": "inventory.reserve_stock", "id": "x", "eta": "soon"},
    },
    "an errback that is none": {"body": [[], {}, {**NO_EMBED, "errbacks": [7]}]},
    "one for another year": {
        "body": [[], {}, NO_EMBED],
        "headers": {"task": "inventory.reserve_stock", "id": "x", "eta": "2999-01-01T00:00:00+00:00"},
    },
    "an ETA in a year that no database tells": {
        "body": [[], {}, NO_EMBED],
        "headers": {"task": "inventory.reserve_stock", "id": "x", "eta": "9999-12-31T23:59:59-23:59"},
    },
    "a task of Celery's own": {"body": [[], {}, NO_EMBED], "task": "celery.backend_cleanup"},
    "one that has expired": {
        "body": [[], {}, NO_EMBED],
        "headers": {"task": "inventory.reserve_stock", "id": "x", "expires": "2020-01-01T00:00:00+00:00"},
    },
    "a time limit of its own": {
        "body": [[], {}, NO_EMBED],
        "headers": {"task": "inventory.reserve_stock", "id": "x", "timelimit": [0.001, None]},
    },
    "deaths that no broker noted": {
        "body": [[{}], {}, {}],
        "headers": {"task": "inventory.reserve_stock", "id": "x", "x-death": [1, 2, {"queue": 7}]},
    },
    "an id longer than a property": {
        "body": [[], {}, NO_EMBED],
        "headers": {"task": "inventory.reserve_stock", "id": "x" * 300},
    },
    "a body nested deeply": {"body": b"[[" + b"[" * 900 + b"]" * 900 + b"], {}, null]"},
    "a routing key that is no text": {"body": [[], {}], "key": b"\xff\xfe"},
    **{
        name: {"body": BOMB if "packed" in name or name == "compressed" else b"[[], {}, null]", "raw": raw}
        for name, raw in hostile_properties.hostile("inventory.reserve_stock").items()
    },
    "no kwargs": {"body": [[], {}, NO_EMBED]},
    "kwargs of no saga": {"body": [[{}], {"saga": "no uuid", "step": 1}, NO_EMBED]},
    "a command of wrong types": {
        "body": [
            [{}],
            {"saga": str(uuid4()), "step": "x", "operation": "do", "attempt": 0, "command": {"order": 1}},
            NO_EMBED,
        ]
    },
}


class TestHostileMessages:
    @pytest.mark.parametrize("queue", [commands_queue("inventory"), urgent_queue("order")])
    def test_end_as_dead_letters_and_orders_go_on(self, shop: Shop, queue: str) -> None:
        known = {row["id"] for row in shop.dead_letters()}
        orders = shop.place_all([shop.order()] * 10)
        shop.wire.send(*(letter(queue, **hostile) for hostile in HOSTILE.values()))
        orders += shop.place_all([shop.order()] * 10)
        shop.all_confirmed(orders)

        def kept() -> list[dict[str, Any]]:
            return [row for row in shop.dead_letters() if row["id"] not in known]

        until(lambda: len(kept()) >= len(HOSTILE), "all of them are kept")
        assert {(row["queue"], row["reason"]) for row in kept()} == {(queue, "rejected")}
        assert len(kept()) == len(HOSTILE)
        assert sum("reserve_stock" in row["task"] for row in kept()) > len(HOSTILE) / 2
        for process in ("inventory-worker", "order-worker", "order-relay"):
            assert shop.process(process).is_running
            assert peak_memory(shop.process(process)) < UNPACKED

    def test_thousands_of_them(self, shop: Shop) -> None:
        """Each kind in each queue, garbage of ten megabytes among them; those of a saga name it, and its order ends."""
        count = "SELECT count(*) AS n FROM saga_deadletter"
        before = shop.rows("order", count)[0]["n"]
        orders = shop.place_all([shop.order()] * 5)
        sagas = [shop.saga(order)["id"] for order in orders]
        queues = [*(queue for service in SERVICES for queue in task_queues(service)), events_queue("order")]
        small = [hostile for hostile in HOSTILE.values() if letter(queues[0], **hostile).size < SMALL]
        of_a_saga = [
            {"body": [[{}], {"saga": saga, "step": "reserve-stock", "no": "such"}, NO_EMBED]}
            for saga in sagas
        ]
        kinds = [*small, *of_a_saga]
        flood = [letter(queues[n % len(queues)], **kinds[n % len(kinds)]) for n in range(FLOOD)]
        large = [letter(queue, os.urandom(3 * 512 * 1024)) for queue in queues]
        shop.wire.send(*large, *flood)
        orders += shop.place_all([shop.order()] * 10)
        shop.all_confirmed(orders)

        def kept() -> int:
            return int(shop.rows("order", count)[0]["n"]) - before

        until(lambda: kept() >= FLOOD + len(large), "all of them are kept", patience=180)
        named = "SELECT count(DISTINCT saga) AS n FROM saga_deadletter WHERE saga = ANY(%s)"
        assert shop.rows("order", named, sagas)[0]["n"] == len(sagas)
        assert kept() == FLOOD + len(large)
        for service in SERVICES:
            assert shop.process(f"{service}-worker").is_running

    def test_events_that_are_none(self, shop: Shop) -> None:
        known = {row["id"] for row in shop.dead_letters()}
        queue, kwargs = events_queue("order"), {"specversion": "1.0", "id": str(uuid4()), "source": "/x"}
        strange = [
            {},
            {"type": 1},
            {**kwargs, "type": "inventory.product_changed", "subject": "x", "time": "yesterday", "data": {}},
            {**kwargs, "type": "inventory.product_changed", "subject": "x", "time": "2026-01-01T00:00:00Z"},
        ]
        shop.wire.send(*(letter(queue, [[], event, NO_EMBED], task="events.receive") for event in strange))
        until(lambda: len({r["id"] for r in shop.dead_letters()} - known) == len(strange), "all are kept")
        shop.all_confirmed(shop.place_all([shop.order()] * 3))


class TestAKillerAmongInnocents:
    def test_dies_alone(self, shop: Shop) -> None:
        assert shop.stack.rabbitmq is not None
        known = {row["id"] for row in shop.dead_letters()}
        queue = commands_queue("inventory")
        policy = ("-p", "order-saga", "harsh", f"^{queue}$", json.dumps({"delivery-limit": DELIVERY_LIMIT}))
        shop.stack.rabbitmq.ctl("set_policy", "--apply-to", "queues", *policy)
        try:
            with killers(shop) as worker:
                worker.kill()
                orders = shop.place_all([shop.order()] * (INNOCENTS // 2))
                until(lambda: shop.wire.waiting(queue) >= INNOCENTS // 2, "half of the innocents wait")
                shop.wire.send(letter(queue, [[], {}, NO_EMBED], task=KILL))
                orders += shop.place_all([shop.order()] * (INNOCENTS // 2))
                until(lambda: shop.wire.waiting(queue) > INNOCENTS, "all wait")
                deaths = supervise(shop, lambda: any(row["task"] == KILL for row in new(shop, known)))
                shop.all_confirmed(orders)
        finally:
            shop.stack.rabbitmq.ctl("clear_policy", "-p", "order-saga", "harsh")
        assert deaths == DELIVERY_LIMIT + 1
        assert [(row["task"], row["reason"]) for row in new(shop, known)] == [(KILL, "delivery_limit")]


class TestAWorkerThatCannotGoOn:
    def test_ends_with_a_code_of_its_own_or_goes_on(self, shop: Shop) -> None:
        """A handler that exits ends nothing; one that never returns, or a bug in the event loop, ends the process."""
        known = {row["id"] for row in shop.dead_letters()}
        queue = commands_queue("inventory")

        def send(task: str) -> None:
            shop.wire.send(letter(queue, [[], {}, NO_EMBED], task=task))

        def is_kept(task: str) -> bool:
            return [row["reason"] for row in new(shop, known) if row["task"] == task] == ["rejected"]

        with killers(shop, HANDLER_SECONDS="2") as worker:
            shop.stack.restart("inventory-worker")
            send(EXIT)
            shop.all_confirmed(shop.place_all([shop.order()] * 3))
            until(lambda: is_kept(EXIT), "its tries are used up")
            send(HANG)
            assert worker.wait(30.0) == EXIT_CODE_OF_HANG
            shop.stack.supervisor.deaths.get()
            worker.start()
            shop.all_confirmed(shop.place_all([shop.order()] * 3))
            assert is_kept(HANG)
            send(BREAK)
            assert worker.wait(30.0) == 1
            shop.stack.supervisor.deaths.get()
        shop.all_confirmed(shop.place_all([shop.order()] * 3))


@contextmanager
def killers(shop: Shop, **settings: str) -> Iterator[Process]:
    """Let the inventory worker, when it starts the next time, have tasks that end it; afterwards start ours again."""
    worker = shop.process("inventory-worker")
    ours, fork = worker.env or {}, worker.fork
    # It starts many times.
    parent = ServiceParent("inventory", {**ours, "TASK_MODULES": "tests.acceptance.killer_tasks", **settings})
    parent.start()
    worker.env, worker.fork = parent.env, parent.make_fork
    try:
        yield worker
    finally:
        worker.env, worker.fork = ours, fork
        shop.stack.restart("inventory-worker")
        parent.stop()


def peak_memory(process: Process) -> int:
    """The most memory that the process ever had, in bytes."""
    with open(f"/proc/{process.pid}/status") as status:
        (line,) = (line for line in status if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def new(shop: Shop, known: set[int]) -> list[dict[str, Any]]:
    return [row for row in shop.dead_letters() if row["id"] not in known]


def supervise(shop: Shop, is_over: Any, *, patience: float = 120.0) -> int:
    """Start the inventory worker again each time it dies; return how often it did."""
    worker, deaths, end = shop.process("inventory-worker"), 0, time.monotonic() + patience
    worker.start()
    while not is_over():
        assert time.monotonic() < end, f"not over after {deaths} deaths"
        if worker.wait(0.2) is not None:
            deaths += 1
            shop.stack.supervisor.deaths.get()
            worker.start()
    return deaths
