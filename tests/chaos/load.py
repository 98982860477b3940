"""Customers: orders of every kind and both flows over HTTP, a few of them cancelled, at an even rate."""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from tests.chaos.client import CHOREOGRAPHED, KINDS, ORCHESTRATED, REFUSED, Client

CUSTOMERS = 6
CANCELLED_SHARE, REFUSED_SHARE, CHOREOGRAPHED_SHARE = 0.1, 0.3, 0.3


class Load:
    """Places `orders` in about `seconds`; what a fault held up is made good as fast as it goes."""

    def __init__(self, client: Client, orders: int, seconds: float, seed: int) -> None:
        self.client = client
        self.orders = orders
        self.seconds = seconds
        self.seed = seed
        self.placed: list[str] = []
        self.lock = threading.Lock()

    def run(self) -> None:
        """Place them all.

        Raises:
            the unclear answer that a customer got for too long.
        """
        began = time.monotonic()
        with ThreadPoolExecutor(CUSTOMERS) as pool:
            running = []
            for number in range(self.orders):
                wait = began + self.seconds * number / self.orders - time.monotonic()
                if wait > 0:
                    time.sleep(wait)
                running.append(pool.submit(self.customer, random.Random(f"{self.seed}/{number}")))
            for each in running:
                each.result()

    def customer(self, chance: random.Random) -> None:
        kinds = REFUSED if chance.random() < REFUSED_SHARE else [k for k in KINDS if k not in REFUSED]
        flow = CHOREOGRAPHED if chance.random() < CHOREOGRAPHED_SHARE else ORCHESTRATED
        order = self.client.place(chance.choice(list(kinds)), flow)
        with self.lock:
            self.placed.append(order)
        if chance.random() < CANCELLED_SHARE:
            time.sleep(chance.uniform(0, 0.6))
            self.client.cancel(order)
