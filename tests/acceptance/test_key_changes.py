"""An upgrade to messages with codes, and a change of a key: process by process under load, and no order is lost.

Rule 29 (authenticity). Only these processes make or check codes.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from secrets import token_hex
from typing import Any

import httpx

from celery_config.common.services import PARTICIPANTS
from tests.acceptance.orders import all_end_as_they_should, mixed_orders
from tests.acceptance.shop import Shop, until

ORCHESTRATOR = ("order-web", "order-worker", "order-relay")
WORKERS = tuple(f"{service}-worker" for service in PARTICIPANTS)


@contextmanager
def kept_environment(shop: Shop) -> Iterator[None]:
    """Run the processes with their own settings again in the end."""
    before = {name: shop.process(name).env for name in (*ORCHESTRATOR, *WORKERS)}
    try:
        yield
    finally:
        for name, env in before.items():
            shop.process(name).env = env
        shop.restart_all(*before)


def change(shop: Shop, settings: Mapping[str, str], *names: str) -> None:
    for name in names:
        shop.process(name).env = {**(shop.process(name).env or {}), **settings}
    shop.restart_all(*names)


class Load:
    """Orders of all kinds, placed until it is told to stop."""

    def __init__(self, shop: Shop) -> None:
        self.shop, self.wanted, self.placed = shop, list[dict[str, Any]](), list[str]()
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self) -> None:
        while not self.ended.wait(1.0):  # a few orders a second
            some = mixed_orders(self.shop, 4)
            try:
                self.placed += self.shop.place_all(some)
            except httpx.TransportError:  # the web process is being restarted
                continue
            self.wanted += some

    def __enter__(self) -> Load:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.thread.join()


def test_an_upgrade_and_a_change_of_a_key_under_load(shop: Shop) -> None:
    letters = len(shop.dead_letters())
    name = "PAYMENT_MESSAGE_KEYS"
    old, new = shop.stack.environment[name], token_hex(32)
    with kept_environment(shop):
        with shop.wire.copies() as copied:
            shop.all_confirmed([shop.place()])
        change(shop, {"MESSAGE_AUTHENTICATION": "off"}, *ORCHESTRATOR, *WORKERS)
        with Load(shop) as load:
            for mode in ("accept", "require"):
                for some in (WORKERS, ORCHESTRATOR):
                    change(shop, {"MESSAGE_AUTHENTICATION": mode}, *some)
            for keys in (f"{old},{new}", f"{new},{old}"):
                for some in (ORCHESTRATOR, WORKERS[:1]):
                    change(shop, {name: keys}, *some)
        assert len(load.placed) >= 20
        all_end_as_they_should(shop, load.placed, load.wanted)
        change(shop, {name: new}, *ORCHESTRATOR, *WORKERS[:1])
        last = mixed_orders(shop, 4)
        all_end_as_they_should(shop, shop.place_all(last), last)
        before = len(shop.dead_letters())
        replayed = [letter for letter in copied if letter.task.startswith("payment.")]
        shop.wire.send(*replayed)
        # The key that vouches for them is no key any more.
        until(lambda: len(shop.dead_letters()) == before + len(replayed) > before, "all are dead letters")
    # A chain that had no codes yet when they became compulsory is a dead letter, and the saga is driven again.
    assert all("authentic" in row["fault"] for row in shop.dead_letters()[letters:])
