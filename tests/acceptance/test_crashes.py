"""Whatever dies in mid-order, every order ends, and the audit is clean."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from celery_config.broker.topology import commands_queue, urgent_queue
from celery_config.common.services import PARTICIPANTS, SERVICES
from tests.acceptance.orders import ORDERS, all_end_as_they_should, mixed_orders
from tests.acceptance.shop import Shop, until
from tests.acceptance.wire import Letter


class TestKillNine:
    @pytest.mark.parametrize("service", SERVICES)
    def test_of_a_worker_in_the_midst_of_its_steps(self, shop: Shop, service: str) -> None:
        wanted, name = mixed_orders(shop), f"{service}-worker"
        table = "saga_sagainstance" if service == "order" else "messaging_barrierrow"
        # Orders are placed before the lock is taken when it is their own table that is locked.
        early = shop.place_all(wanted[: ORDERS // 2])
        with shop.paused("order-relay"):
            late = shop.place_all(wanted[ORDERS // 2 :])
        with shop.locked(service, table, "SHARE"):
            until(lambda: shop.blocked(service), f"{name} is in the midst of a step")
            shop.stack.supervisor.kill(name)
            assert shop.in_flight(early + late) > 0
        shop.stack.restart(name)
        all_end_as_they_should(shop, early + late, wanted)

    @pytest.mark.parametrize("service", SERVICES)
    def test_of_a_relay_between_the_publishing_and_its_commit(self, shop: Shop, service: str) -> None:
        wanted, name = mixed_orders(shop), f"{service}-relay"
        with shop.paused(name):
            orders = shop.place_all(wanted)
            unpublished = "SELECT count(*) AS n FROM messaging_outboxmessage WHERE published_at IS NULL"
            until(
                lambda: shop.rows(service, unpublished)[0]["n"] > ORDERS // 3,
                f"{name} has something to publish",
            )
            lock = shop.locked(service, "messaging_outboxmessage", "SHARE")
            lock.__enter__()
        try:
            until(lambda: shop.blocked(service), f"{name} has published and wants to note it")
            shop.stack.supervisor.kill(name)
            assert shop.in_flight(orders) > 0
        finally:
            lock.__exit__(None, None, None)
        shop.stack.restart(name)
        all_end_as_they_should(shop, orders, wanted)


class TestTheBroker:
    def test_is_restarted_in_mid_load(self, shop: Shop) -> None:
        wanted = mixed_orders(shop)
        orders = shop.place_all(wanted)
        assert shop.stack.rabbitmq is not None
        shop.stack.rabbitmq.stop()
        try:
            assert shop.in_flight(orders) > 0
        finally:
            shop.stack.rabbitmq.start()
        all_end_as_they_should(shop, orders, wanted)

    def test_is_killed_in_mid_load(self, shop: Shop) -> None:
        wanted = mixed_orders(shop)
        orders = shop.place_all(wanted)
        assert shop.stack.rabbitmq is not None
        shop.stack.rabbitmq.kill()
        try:
            assert shop.in_flight(orders) > 0
            orders += shop.place_all(wanted)
        finally:
            shop.stack.rabbitmq.start()
        all_end_as_they_should(shop, orders, wanted * 2)


class TestTheDatabases:
    QUEUES = (*map(commands_queue, PARTICIPANTS), urgent_queue("order"))

    def a_repeat_for_each(self, shop: Shop) -> list[Letter]:
        """A command for each service that it has carried out before."""
        with shop.wire.copies() as copied:
            shop.all_confirmed([shop.place()])
        return [next(letter for letter in copied if letter.queue == queue) for queue in self.QUEUES]

    @contextlib.contextmanager
    def away(self, shop: Shop, repeats: list[Letter]) -> Iterator[None]:
        """While the databases are dead: each worker had something to do, and takes nothing any more."""
        assert shop.stack.postgres is not None
        shop.stack.postgres.kill()
        try:
            shop.wire.send(*repeats)
            until(lambda: not any(map(shop.wire.consumers, self.QUEUES)), "the workers take no more messages")
            until(
                lambda: all(map(shop.wire.waiting, self.QUEUES)), "what they had taken is back in the queues"
            )
            yield
        finally:
            shop.stack.postgres.start()
        until(lambda: all(map(shop.wire.consumers, self.QUEUES)), "the workers take messages again")

    def test_die_in_mid_load_and_workers_take_nothing_meanwhile(self, shop: Shop) -> None:
        repeats, wanted = self.a_repeat_for_each(shop), mixed_orders(shop)
        orders = shop.place_all(wanted)
        assert shop.in_flight(orders) > 0
        with self.away(shop, repeats):
            pass
        all_end_as_they_should(shop, orders, wanted)

    @pytest.mark.parametrize("retries", [0, 99])
    def test_die_and_a_lone_message_keeps_its_deliveries(self, shop: Shop, retries: int) -> None:
        """Also one on its last try."""
        repeats = self.a_repeat_for_each(shop)
        for letter in repeats:
            letter.properties["application_headers"]["retries"] = retries
        with self.away(shop, repeats):
            counts = [shop.wire.peek(queue).headers.get("x-delivery-count", 0) for queue in self.QUEUES]
        # One more when it went back, and one for the look at it.
        assert max(counts) <= 2, counts

    def test_takes_nothing_more_and_its_service_waits(self, shop: Shop) -> None:
        """After a failover to a standby it answers every question."""
        wanted, before = mixed_orders(shop), len(shop.dead_letters())
        shop.administer("ALTER DATABASE payment SET default_transaction_read_only = on")
        try:
            shop.administer(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'payment'"
            )
            orders = shop.place_all(wanted)
            until(lambda: not shop.wire.consumers("payment.commands"), "payment takes no more messages")
            until(lambda: shop.wire.waiting("payment.commands"), "what it had taken is back")
        finally:
            shop.administer("ALTER DATABASE payment RESET default_transaction_read_only")
        until(lambda: shop.wire.consumers("payment.commands"), "payment takes messages again")
        all_end_as_they_should(shop, orders, wanted)
        assert len(shop.dead_letters()) == before


class TestRemoteControl:
    def test_a_queue_that_is_held_keeps_no_worker_from_its_work(self, shop: Shop) -> None:
        """By a connection that is dead, and of which the broker does not know it yet."""
        name = f"payment@{socket.gethostname()}.payment.control.pidbox"
        shop.stack.supervisor.kill("payment-worker")
        with shop.wire.holding(name):
            shop.stack.restart("payment-worker")
            shop.all_confirmed([shop.place()])


class TestOneServiceAway:
    def test_orders_wait_without_growing_old_and_then_complete(self, shop: Shop) -> None:
        shop.stack.supervisor.kill("inventory-worker")
        orders = shop.place_all([shop.order()] * ORDERS)
        until(lambda: shop.wire.waiting("inventory.commands") >= ORDERS, "all orders have come to inventory")

        def clock() -> dict[str, Any]:
            return shop.rows("order", "SELECT now, ticked_at FROM saga_sagaclock")[0]

        before = until(clock, "saga time")
        # Longer than the longest step of saga time, so that it would show.
        until(lambda: (clock()["ticked_at"] - before["ticked_at"]).total_seconds() > 6, "ticks")  # type: ignore[operator]
        assert clock()["now"] == before["now"]
        assert shop.in_flight(orders) == len(orders)
        shop.stack.restart("inventory-worker")
        shop.all_confirmed(orders)
