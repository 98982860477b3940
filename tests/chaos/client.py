"""A client of the order service: it repeats each request with the same idempotency key until the answer is clear."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import httpx

from celery_config.common.service_calls import OPERATOR, name_token
from compose.local.stack import Stack
from tests.chaos.system import fetch_rows

ADDRESS = {
    "name": "Ada Example", "line1": "1 Harbour Street", "city": "Dublin", "postal_code": "D02 X285", "country": "IE",
}  # fmt: skip
CURRENCY, FINE, SOLD_OUT = "EUR", "FINE", "GONE"
ORCHESTRATED, CHOREOGRAPHED = FLOWS = ("orchestrated", "choreographed")
CLEAR_SECONDS = 90.0
RETRY_SECONDS = 0.2
KNOWN = "SELECT count(*) FROM order_catalogueproduct WHERE sku = ANY(%s)"
PAUSES, PAUSE = "/api/sagas/pauses/", {"saga": "place-order", "why": "a database is restored"}
UNCLEAR = (httpx.TransportError, httpx.HTTPStatusError)

# How an order should go; each refusal happens at another step.
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
        chance: draws the idempotency keys, so that a run can be repeated.
    """

    def __init__(self, stack: Stack, chance: random.Random) -> None:
        self.stack = stack
        self.chance = chance
        self.clear_seconds = CLEAR_SECONDS
        self.http = httpx.Client(base_url=stack.url("order"), trust_env=False, timeout=15)
        name, password = stack.admin_login
        answer = self.request("POST", "/api/token/", {"username": name, "password": password})
        self.http.headers["Authorization"] = f"Token {answer.json()['token']}"

    def stock_shelves(self) -> None:
        """Make the products that all kinds of orders need; return when the order service has copied them."""
        self.change_product(FINE, 890)
        self.change_product(SOLD_OUT, 500)
        self.post_to_inventory("/api/stock/opening/", {"items": [{"sku": FINE, "quantity": 1_000_000}]})
        self.wait_until_known(FINE, SOLD_OUT)

    def wait_until_known(self, *skus: str) -> None:
        """Return when the order service's copy has these products."""
        while fetch_rows(self.stack, "order", KNOWN, list(skus))[0][0] < len(skus):
            time.sleep(RETRY_SECONDS)

    def change_product(self, sku: str, price: int) -> None:
        product = {
            "sku": sku, "name": f"Product {sku} at {price}", "price": price, "currency": CURRENCY,
            "weight_grams": 100, "active": True,
        }  # fmt: skip
        self.post_to_inventory("/api/products/", {"products": [product]})

    def post_to_inventory(self, path: str, body: Mapping[str, Any]) -> None:
        token = self.stack.environment[name_token((OPERATOR, "inventory"))]
        self.request("POST", self.stack.url("inventory") + path, body, {"Authorization": f"Bearer {token}"})

    def place_order(self, kind: str, flow: str = ORCHESTRATED, *, repeats: int = 0) -> str:
        """Place an order of this kind and return its id."""
        return self.buy_product(FINE, 2, repeats=repeats, flow=flow, **KINDS[kind])

    def buy_product(self, sku: str, quantity: int = 1, *, repeats: int = 0, **fields: Any) -> str:
        """Place an order for one product and return its id; `fields` replace fields of the request.

        Args:
            repeats: how many further requests are sent with the same key; each must answer with the same order.
        """
        order = {
            "lines": [{"sku": sku, "quantity": quantity}], "currency": CURRENCY,
            "payment_token": "tok_approved", "address": ADDRESS, **fields,
        }  # fmt: skip
        key = str(UUID(int=self.chance.getrandbits(128)))
        headers = {"Idempotency-Key": key}
        answers = [self.request("POST", "/api/orders/", order, headers).json() for _ in range(1 + repeats)]
        (placed,) = {str(answer["order"]) for answer in answers}
        return placed

    def cancel_order(self, order: str) -> int:
        """Request a cancel; return 202, or 409 when it is too late."""
        return self.request("POST", f"/api/orders/{order}/cancel/", {}, accept=(202, 409)).status_code

    def retry_order(self, order: str) -> int:
        """Request that a choreographed order is driven again; return 202, or 409 when it has ended."""
        path, why = f"/api/orders/{order}/retry/", {"why": "a crash is over"}
        return self.request("POST", path, why, accept=(202, 409)).status_code

    def retry_saga(self, saga: str) -> int:
        """Request that a parked saga is stopped; return 202, or 409 when it is parked no more."""
        path, why = f"/api/sagas/{saga}/retry/", {"why": "a database was restored"}
        return self.request("POST", path, why, accept=(202, 409)).status_code

    def pause_orders(self) -> None:
        """Let no order start that is orchestrated."""
        self.request("POST", PAUSES, PAUSE, accept=(201, 409))

    def end_pause(self) -> None:
        """Let orders start again; the order service's own restore may have ended the pause already."""
        self.request("DELETE", PAUSES, PAUSE, accept=(200, 409))

    def read_status(self, order: str) -> str:
        return str(self.request("GET", f"/api/orders/{order}/").json()["status"])

    def request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        accept: tuple[int, ...] = (),
    ) -> httpx.Response:
        """Repeat the request until the answer is clear: a status in `accept`, or any below 400.

        Raises:
            httpx.HTTPStatusError: the answer is another status below 500, or none was clear within `clear_seconds`.
            httpx.TransportError: there was no answer within `clear_seconds`.
        """
        end = time.monotonic() + self.clear_seconds
        while True:
            try:
                answer = self.http.request(method, path, json=body, headers=headers)
                if answer.status_code in accept:
                    return answer
                return answer.raise_for_status()
            except UNCLEAR as error:
                is_refusal = isinstance(error, httpx.HTTPStatusError) and error.response.status_code < 500
                if is_refusal or time.monotonic() > end:
                    raise
            time.sleep(RETRY_SECONDS)

    def close(self) -> None:
        self.http.close()
