"""A shop on the running stack: goods, orders, and a look into everybody's rows."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import httpx
import psycopg
from psycopg.rows import dict_row

from celery_config.broker.message_authentication import MessageKeys, Mode, read_keys
from celery_config.common.service_calls import OPERATOR, name_token
from compose.local.environment import ROOT
from compose.local.process import Process
from compose.local.shopper import Ended, Shopper
from compose.local.stack import Stack
from tests.acceptance.preloaded import Preloaded
from tests.acceptance.wire import Wire

T = TypeVar("T")
CURRENCY = "EUR"
PATIENCE = 60.0
LOOK_SECONDS = 0.05
ADDRESS = {
    "name": "Ada Example", "line1": "1 Harbour Street", "city": "Dublin", "postal_code": "D02 X285", "country": "IE",
}  # fmt: skip
UNREACHABLE = {**ADDRESS, "country": "AQ"}
TEA, KETTLE, SOLD_OUT, ANVIL = "TEA", "KETTLE", "SOLD-OUT", "ANVIL"
TOO_HEAVY = 3  # anvils


def product(sku: str, price: int = 890, *, grams: int = 280, currency: str = CURRENCY) -> dict[str, Any]:
    return {
        "sku": sku, "name": f"Product {sku}", "price": price, "currency": currency, "weight_grams": grams,
        "active": True,
    }  # fmt: skip


def until(check: Callable[[], T], what: str, *, patience: float = PATIENCE) -> T:
    """Wait until `check()` returns something true, and return it.

    Args:
        what: is awaited, for the error.
        patience: seconds.
    """
    end = time.monotonic() + patience
    while not (found := check()):
        assert time.monotonic() < end, f"not within {patience:.0f} s: {what}"
        time.sleep(LOOK_SECONDS)
    return found


class Shop:
    """What the tests of one run share: the stack, a client, the broker, the databases."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.shopper = Shopper(stack)
        self.wire = Wire(stack)
        self._preloaded: dict[str, Preloaded] = {}
        self._sessions: dict[str, psycopg.Connection[dict[str, Any]]] = {}
        self.stock(product(TEA), product(KETTLE, 4990, grams=1200), product(ANVIL, 90_000, grams=400_000))
        self.stock(product(SOLD_OUT, 99_900), quantity=0)

    def stock(self, *products: dict[str, Any], quantity: int = 1_000_000) -> None:
        """Sell these products from now on; returns when the order service knows them."""
        self.shopper.stock_shelves(products, quantity)
        skus = [p["sku"] for p in products]
        count = "SELECT count(*) AS n FROM order_catalogueproduct WHERE sku = ANY(%s)"
        until(
            lambda: self.rows("order", count, skus)[0]["n"] == len(skus),
            f"the order service knows {skus[0]} …",
        )

    def order(self, *lines: tuple[str, int], **fields: Any) -> dict[str, Any]:
        """The body of an order; by default a fine one."""
        body = {
            "lines": [
                {"sku": sku, "quantity": quantity} for sku, quantity in lines or [(TEA, 1), (KETTLE, 2)]
            ],
            "currency": CURRENCY,
            "payment_token": "tok_approved",
            "address": ADDRESS,
        }
        return body | fields

    def place(self, **fields: Any) -> str:
        """Place one order and return its id."""
        return self.place_all([self.order(**fields)])[0]

    def place_all(self, orders: Sequence[dict[str, Any]]) -> list[str]:
        """Place orders, several at a time, and return their ids."""
        with ThreadPoolExecutor(4) as clients:
            return list(clients.map(self._accepted, orders))

    def _accepted(self, order: dict[str, Any]) -> str:
        answer = self.shopper.place(order)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["order"])

    def saga(self, order: str) -> dict[str, Any]:
        """The order's saga, as the API shows it."""
        return dict(self.shopper.detail(order)["saga"])

    def ends(self, orders: Sequence[str], *, patience: float = PATIENCE) -> dict[str, Ended]:
        """Wait until the orders ended; return how each did."""
        return {end.order: end for end in self.shopper.wait_for_ends(orders, patience=patience)}

    def all_confirmed(self, orders: Sequence[str], *, patience: float = PATIENCE) -> None:
        others = [e for e in self.ends(orders, patience=patience).values() if e.status != "confirmed"]
        assert not others, f"{len(others)} of {len(orders)} orders ended otherwise: {others[:3]}"

    def in_flight(self, orders: Sequence[str]) -> int:
        """How many of the orders are under way at this moment."""
        open_ones = "SELECT count(*) AS n FROM order_order WHERE id::text = ANY(%s) AND ended_at IS NULL"
        return int(self.rows("order", open_ones, list(orders))[0]["n"])

    def message_keys(self, service: str) -> MessageKeys:
        """The key that the service shares with the order service."""
        keys = read_keys(self.stack.environment[f"{service.upper()}_MESSAGE_KEYS"])
        return MessageKeys({service: keys}, Mode.REQUIRE)

    def rows(self, service: str, query: str, *values: Any) -> list[dict[str, Any]]:
        """What a query finds in a service's database."""
        kept = self._sessions.get(service) or self._begin_session(service)
        try:
            return kept.execute(query, values or None).fetchall()
        except psycopg.OperationalError:
            if not kept.broken:
                raise
            # The server died, or ended the session.
            return self._begin_session(service).execute(query, values or None).fetchall()

    def _begin_session(self, service: str) -> psycopg.Connection[dict[str, Any]]:
        """Log in to a service's database. It is kept: a login takes forty times as long as most queries."""
        session = self._sessions[service] = psycopg.connect(
            self._database(service),
            autocommit=True,
            row_factory=dict_row,
            prepare_threshold=None,
            # Whatever the database is set to meanwhile.
            options="-c default_transaction_read_only=off",
        )
        return session

    def administer(self, statement: str) -> None:
        """Let the databases' administrator do something."""
        assert self.stack.postgres is not None
        with psycopg.connect(self.stack.postgres.superuser_url(), autocommit=True) as connection:
            connection.execute(statement)

    def barrier(self, service: str, saga: str) -> dict[str, tuple[str, str]]:
        """What became of each step of the saga at a participant: (action, undo)."""
        found = self.rows(
            service, "SELECT step, action, undo FROM messaging_barrierrow WHERE saga = %s", saga
        )
        return {row["step"]: (row["action"], row["undo"]) for row in found}

    def operator(self, service: str) -> dict[str, str]:
        """The headers with which the operator calls a service."""
        return {"Authorization": f"Bearer {self.stack.environment[name_token((OPERATOR, service))]}"}

    def facts(self, service: str, order: str) -> dict[str, Any]:
        """What a participant says, over its API, that it did for the order."""
        answer = httpx.post(
            f"{self.stack.url(service)}/api/facts/",
            json={"orders": [order]},
            headers=self.operator(service),
            trust_env=False,
            timeout=30,
        )
        return dict(answer.raise_for_status().json()["facts"].get(order, {}))

    def unpublished(self, service: str) -> int:
        """Rows in the service's outbox that its relay has not published."""
        query = "SELECT count(*) AS n FROM messaging_outboxmessage WHERE published_at IS NULL"
        return int(self.rows(service, query)[0]["n"])

    def dead_letters(self) -> list[dict[str, Any]]:
        return self.rows("order", "SELECT * FROM saga_deadletter ORDER BY id")

    def _database(self, service: str) -> str:
        assert self.stack.postgres is not None
        return self.stack.postgres.superuser_url(service)

    @contextlib.contextmanager
    def locked(self, service: str, table: str, mode: str) -> Iterator[None]:
        """Hold a lock on a table, so that each process that needs it stops in the middle of its work."""
        with psycopg.connect(self._database(service)) as connection:
            connection.execute(f"LOCK TABLE {table} IN {mode} MODE")
            yield

    def blocked(self, service: str) -> int:
        """How many connections to the service's database wait for a lock."""
        waiting = "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = %s AND wait_event_type = 'Lock'"
        return int(self.rows(service, waiting, service)[0]["n"])

    def process(self, name: str) -> Process:
        return self.stack.supervisor[name]

    @contextlib.contextmanager
    def paused(self, *names: str) -> Iterator[None]:
        """Let processes stand still."""
        for name in names:
            self.process(name).send(signal.SIGSTOP)
        try:
            yield
        finally:
            for name in names:
                self.process(name).send(signal.SIGCONT)

    @contextlib.contextmanager
    def restarted_with(self, settings: Mapping[str, str], *names: str) -> Iterator[None]:
        """Restart processes with other settings, and again without them."""
        processes = [self.process(name) for name in names]
        before = [process.env for process in processes]
        for process in processes:
            process.env = {**(process.env or {}), **settings}
        try:
            self.restart_all(*names)
            yield
        finally:
            for process, env in zip(processes, before, strict=True):
                process.env = env
            self.restart_all(*names)

    def restart_all(self, *names: str) -> None:
        """Restart processes side by side, and wait until all are ready."""
        with ThreadPoolExecutor(len(names)) as pool:
            list(pool.map(self.stack.restart, names))

    def command(
        self, service: str, *arguments: str, patience: float = 120.0
    ) -> subprocess.CompletedProcess[str]:
        """Run `./manage.py SERVICE …` against the stack; it may take `patience` seconds."""
        if service not in self._preloaded:
            self._preloaded[service] = Preloaded(service, self.stack.environment)
        return self._preloaded[service].run(*arguments, patience=patience)

    def command_with(
        self, settings: Mapping[str, str], *arguments: str, patience: float = 120.0, given: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run `./manage.py …` with other settings, in a process of its own; `given` is its standard input."""
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env={**self.stack.environment, **settings},
            capture_output=True,
            text=True,
            timeout=patience,
            check=False,
            input=given,
        )

    def audit(self) -> None:
        """The audit finds nothing."""
        assert_clean(self.command("order", "audit"))

    def close(self) -> None:
        """End what runs for the tests alone."""
        for preloaded in self._preloaded.values():
            preloaded.close()
        for session in self._sessions.values():
            session.close()
        self.shopper.close()


def assert_clean(audit: subprocess.CompletedProcess[str]) -> None:
    assert audit.returncode == 0, audit.stdout + audit.stderr
    assert audit.stdout.strip().splitlines()[-1].endswith(" orders checked, 0 violations")
