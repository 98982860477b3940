"""The load of a chaos run: orders of every kind and both flows over HTTP at a steady rate; some are cancelled."""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from tests.chaos.client import CHOREOGRAPHED, KINDS, ORCHESTRATED, REFUSED, Client

CUSTOMERS = 6
CANCELLED_SHARE, REFUSED_SHARE, CHOREOGRAPHED_SHARE = 0.1, 0.3, 0.3


class Load:
    """Places `orders` in about `seconds`; after a delay by a fault it catches up at full speed."""

    def __init__(self, client: Client, orders: int, seconds: float, seed: int) -> None:
        self.client = client
        self.orders = orders
        self.seconds = seconds
        self.seed = seed
        self.placed: list[str] = []
        self.lock = threading.Lock()

    def place_all(self) -> None:
        """Place all orders.

        Raises:
            httpx.HTTPError: a customer had no clear answer for too long.
        """
        began = time.monotonic()
        with ThreadPoolExecutor(CUSTOMERS) as pool:
            running = []
            for number in range(self.orders):
                wait = began + self.seconds * number / self.orders - time.monotonic()
                if wait > 0:
                    time.sleep(wait)
                running.append(pool.submit(self.act_as_customer, random.Random(f"{self.seed}/{number}")))
            for each in running:
                each.result()

    def act_as_customer(self, chance: random.Random) -> None:
        kinds = REFUSED if chance.random() < REFUSED_SHARE else [k for k in KINDS if k not in REFUSED]
        flow = CHOREOGRAPHED if chance.random() < CHOREOGRAPHED_SHARE else ORCHESTRATED
        order = self.client.place_order(chance.choice(list(kinds)), flow)
        with self.lock:
            self.placed.append(order)
        if chance.random() < CANCELLED_SHARE:
            time.sleep(chance.uniform(0, 0.6))
            self.client.cancel_order(order)
