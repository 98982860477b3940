"""A client that never gives up: whatever breaks, it asks again with the same idempotency key."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import httpx

from compose.local.stack import Stack
from tests.chaos.quiet import ask

ADDRESS = {
    "name": "Ada Example", "line1": "1 Harbour Street", "city": "Dublin", "postal_code": "D02 X285", "country": "IE",
}  # fmt: skip
CURRENCY, FINE, SOLD_OUT = "EUR", "FINE", "GONE"
ORCHESTRATED, CHOREOGRAPHED = FLOWS = ("orchestrated", "choreographed")
PATIENCE = 90.0
WAIT_SECONDS = 0.2
KNOWN = "SELECT count(*) FROM order_catalogueproduct WHERE sku = ANY(%s)"
UNCLEAR = (httpx.TransportError, httpx.HTTPStatusError)

# How an order is meant to go; each refusal has another step to undo from.
KINDS: dict[str, dict[str, Any]] = {
    "fine": {},
    "card declined": {"payment_token": "tok_card_declined"},
    "out of stock": {"lines": [{"sku": SOLD_OUT, "quantity": 1}]},
    "unreachable": {"address": {**ADDRESS, "country": "AQ"}},
    "capture refused": {"payment_token": "tok_capture_refused"},
    "error after charging": {"payment_token": "tok_error_after_charging"},
}
REFUSED = ("card declined", "out of stock", "unreachable", "capture refused")


class Client:
    """One customer of a stack, as its administrator. Safe to share between threads.

    Args:
        chance: makes the idempotency keys, so that a run can be repeated.
    """

    def __init__(self, stack: Stack, chance: random.Random) -> None:
        self.stack = stack
        self.chance = chance
        self.http = httpx.Client(base_url=stack.url("order"), trust_env=False, timeout=15)
        name, password = stack.admin_login
        answer = self.insist("POST", "/api/token/", {"username": name, "password": password})
        self.http.headers["Authorization"] = f"Token {answer.json()['token']}"

    def stock_shelves(self) -> None:
        """Make the goods that the kinds of orders need; return when the order service knows them."""
        self.change_product(FINE, 890)
        self.change_product(SOLD_OUT, 500)
        self.in_inventory("/api/stock/opening/", {"items": [{"sku": FINE, "quantity": 1_000_000}]})
        self.wait_until_known(FINE, SOLD_OUT)

    def wait_until_known(self, *skus: str) -> None:
        """Return when the order service's copy has these products."""
        while ask(self.stack, "order", KNOWN, list(skus))[0][0] < len(skus):
            time.sleep(WAIT_SECONDS)

    def change_product(self, sku: str, price: int) -> None:
        product = {
            "sku": sku, "name": f"Product {sku} at {price}", "price": price, "currency": CURRENCY,
            "weight_grams": 100, "active": True,
        }  # fmt: skip
        self.in_inventory("/api/products/", {"products": [product]})

    def in_inventory(self, path: str, body: Mapping[str, Any]) -> None:
        token = self.stack.environment["INVENTORY_SERVICE_TOKEN"]
        self.insist("POST", self.stack.url("inventory") + path, body, {"Authorization": f"Bearer {token}"})

    def place(self, kind: str, flow: str = ORCHESTRATED, *, repeats: int = 0) -> str:
        """Place an order of this kind and return its id, however often that has to be asked."""
        return self.buy(FINE, 2, repeats=repeats, flow=flow, **KINDS[kind])

    def buy(self, sku: str, quantity: int = 1, *, repeats: int = 0, **fields: Any) -> str:
        """Place an order for one product, or as `fields` say.

        Args:
            repeats: requests that follow it under the same key; each is answered with the same order.
        """
        order = {
            "lines": [{"sku": sku, "quantity": quantity}], "currency": CURRENCY,
            "payment_token": "tok_approved", "address": ADDRESS, **fields,
        }  # fmt: skip
        key = str(UUID(int=self.chance.getrandbits(128)))
        headers = {"Idempotency-Key": key}
        answers = [self.insist("POST", "/api/orders/", order, headers).json() for _ in range(1 + repeats)]
        (placed,) = {str(answer["order"]) for answer in answers}
        return placed

    def cancel(self, order: str) -> int:
        """Ask to cancel; return 202, or 409 when it is too late."""
        return self.insist("POST", f"/api/orders/{order}/cancel/", {}, accept=(202, 409)).status_code

    def retry(self, order: str) -> int:
        """Have a choreographed order said again; return 202, or 409 when it has ended."""
        path, why = f"/api/orders/{order}/retry/", {"why": "a crash is over"}
        return self.insist("POST", path, why, accept=(202, 409)).status_code

    def status(self, order: str) -> str:
        return str(self.insist("GET", f"/api/orders/{order}/").json()["status"])

    def insist(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        accept: tuple[int, ...] = (),
    ) -> httpx.Response:
        """Ask until there is a clear answer.

        Raises:
            the last unclear answer: there was none within `PATIENCE` seconds.
        """
        end = time.monotonic() + PATIENCE
        while True:
            try:
                answer = self.http.request(method, path, json=body, headers=headers)
                if answer.status_code in accept:
                    return answer
                return answer.raise_for_status()
            except UNCLEAR as error:
                told = isinstance(error, httpx.HTTPStatusError) and error.response.status_code < 500
                if told or time.monotonic() > end:
                    raise
            time.sleep(WAIT_SECONDS)

    def close(self) -> None:
        self.http.close()
