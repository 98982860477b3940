"""After an outage: what waits in a long queue is carried, and nothing that is under way waits behind it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import httpx
from kombu import Connection

from celery_config.broker.topology import COMMANDS, task_queues
from celery_config.sandbox.words import Token
from tests.acceptance.orders import ORDERS, all_end_as_they_should, mixed_orders
from tests.acceptance.shop import Shop, until

# More than a worker takes at once.
MANY = 250
# Of these, the last ones: more than a worker has in hand.
SLOW = 160
# By the times of these tests; a deadline is 27 s.
DEADLINE = 27.0


class SlowWorker:
    """Takes one message of each queue and does not come to an end with it."""

    def __init__(self, shop: Shop, service: str) -> None:
        self.shop, self.queues = shop, task_queues(service)

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        with Connection(self.shop.wire.url) as connection:
            channel = connection.default_channel
            channel.basic_qos(0, 1, False)
            for queue in self.queues:
                channel.basic_consume(queue, callback=lambda message: None)
            yield


def pass_deadline(shop: Shop) -> None:
    """Let a deadline of saga time pass."""
    clock = "SELECT now FROM saga_sagaclock"
    before = shop.rows("order", clock)[0]["now"]

    def passed() -> float:
        return float((shop.rows("order", clock)[0]["now"] - before).total_seconds())

    until(lambda: passed() > DEADLINE, "a deadline passes", patience=120)


def flow(shop: Shop, service: str) -> str:
    """What a service says does not move."""
    told = httpx.get(f"{shop.stack.url(service)}/flowz", trust_env=False, timeout=10.0).json()
    return "; ".join(f"{name}: {text}" for name, text in told.items())


def count_redrives(shop: Shop, orders: list[str]) -> int:
    query = "SELECT sum(attempt) AS n FROM saga_sagainstance WHERE subject = ANY(%s)"
    return int(shop.rows("order", query, orders)[0]["n"])


class TestAQueueThatIsLong:
    def test_stops_no_order_and_is_not_made_longer(self, shop: Shop) -> None:
        """Rule 17: longer than a deadline, and many silences."""
        shop.stack.supervisor.kill("payment-worker")
        # The authorizations of the last ones take two seconds together: long enough to be overtaken.
        quick, slow = shop.order(), shop.order(payment_token=Token.SLOW.value)
        orders = shop.place_all([quick] * (MANY - SLOW) + [slow] * SLOW)
        until(lambda: shop.wire.waiting("payment.commands") >= MANY, "all orders have come to payment")
        with SlowWorker(shop, "payment").at_work():
            pass_deadline(shop)
            assert shop.in_flight(orders) == MANY
            assert count_redrives(shop, orders) == 0
        shop.stack.restart("payment-worker")
        shop.all_confirmed(orders, patience=180)
        # On a busy machine workers have messages in hand for longer than a silence of these tests.
        assert count_redrives(shop, orders) < 2 * MANY
        self.overtaken(shop, orders)

    @staticmethod
    def overtaken(shop: Shop, orders: list[str]) -> None:
        """Rule 28: captures began while authorizations still waited."""
        sagas = [
            str(saga["id"])
            for saga in shop.rows("order", "SELECT id FROM saga_sagainstance WHERE subject = ANY(%s)", orders)
        ]
        query = (
            "SELECT count(*) AS n FROM messaging_barrierrow WHERE saga::text = ANY(%s) AND step = 'capture-payment'"
            " AND created_at < (SELECT max(created_at) FROM messaging_barrierrow"
            " WHERE saga::text = ANY(%s) AND step = 'authorize-payment')"
        )
        assert shop.rows("payment", query, sagas, sagas)[0]["n"] > 0


class TestServicesThatAreStuck:
    def test_stop_no_order_and_say_so(self, shop: Shop) -> None:
        """Rule 17: a relay that hangs and a table that is locked, longer than a deadline; saga time runs."""
        fails = "messages wait for another try since"
        with shop.locked("shipment", "shipment_shipment", "ACCESS EXCLUSIVE"), shop.paused("payment-relay"):
            orders = shop.place_all([shop.order(), shop.order(flow="choreographed")] * 3)
            until(lambda: "relay: late" in flow(shop, "payment"), "payment says so", patience=15)
            until(lambda: f"messages: {fails}" in flow(shop, "shipment"), "shipment says so", patience=20)
            assert "due to lock timeout" in flow(shop, "shipment")
            assert "hindrances: payment: the relay is " in flow(shop, "order")
            assert f"shipment: {fails}" in flow(shop, "order")
            pass_deadline(shop)
            assert shop.in_flight(orders) == len(orders)
        shop.all_confirmed(orders)


class TestAnUpgradeUnderLoad:
    def test_what_the_version_before_has_sent_is_carried(self, shop: Shop) -> None:
        """Rule 24: outbox rows, chains and errbacks that name its exchange and keys."""
        wanted = mixed_orders(shop)
        with shop.paused("order-relay"):
            orders = shop.place_all(wanted)
            assert route_as_before(shop) > ORDERS / 2
        orders += shop.place_all(wanted)
        all_end_as_they_should(shop, orders, wanted * 2)


def route_as_before(shop: Shop) -> int:
    """Rewrite the chains in the outbox as the version before wrote them; return how many."""
    chains = shop.rows(
        "order",
        "SELECT id, payload FROM messaging_outboxmessage WHERE kind = 'task' AND published_at IS NULL",
    )
    for row in chains:
        set_routes(row["payload"])
        update = "UPDATE messaging_outboxmessage SET payload = %s WHERE id = %s RETURNING id"
        shop.rows("order", update, json.dumps(row["payload"]), row["id"])
    return len(chains)


def set_routes(link: dict[str, Any]) -> None:
    options = link["options"]
    service = options["routing_key"].partition(".")[0]
    options.update(exchange=COMMANDS, routing_key=service)
    for each in [*options.get("chain", []), *options.get("link_error", [])]:
        set_routes(each)
