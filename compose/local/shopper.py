"""A client of the order service for demo, bench and tests: it places orders over HTTP and waits until they end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

import httpx

from celery_config.common.service_calls import OPERATOR, name_token
from celery_config.sandbox.goods import DELIVERY
from compose.local.stack import Stack

ENDED = ("confirmed", "cancelled", "parked")
LOOK_SECONDS = 0.25
SHORT_PAGE, PAGE = 20, 500


@dataclass(frozen=True)
class Ended:
    """How one order ended; `seconds` from its acceptance to its end."""

    order: str
    status: str
    code: str
    seconds: float


class Shopper:
    """A client of the services of a running stack, as its administrator or with a service token."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        name, password = stack.admin_login
        answer = httpx.post(
            f"{stack.url('order')}/api/token/",
            json={"username": name, "password": password},
            trust_env=False,
            timeout=30,
        )
        answer.raise_for_status()
        self.http = httpx.Client(
            base_url=stack.url("order"),
            headers={"Authorization": f"Token {answer.json()['token']}"},
            trust_env=False,
            timeout=60,
        )

    def stock_shelves(self, products: Sequence[dict[str, Any]], quantity: int) -> None:
        """Create the products and their opening stock over inventory's API."""
        stock = [{"sku": product["sku"], "quantity": quantity} for product in products]
        with open_inventory(self.stack.environment) as inventory:
            inventory.post("/api/products/", json={"products": list(products)}).raise_for_status()
            inventory.post("/api/stock/opening/", json={"items": stock}).raise_for_status()

    def offer_goods(self) -> None:
        """Put the goods of the little shop on the shelves."""
        with open_inventory(self.stack.environment) as inventory:
            inventory.post("/api/products/", json=DELIVERY).raise_for_status()

    def place(self, order: dict[str, Any], *, key: str | None = None) -> httpx.Response:
        """POST one order and return the response."""
        headers = {"Idempotency-Key": key} if key else {}
        return self.http.post("/api/orders/", json=order, headers=headers)

    def place_when_known(self, order: dict[str, Any], *, patience: float = 30.0) -> str:
        """Place an order as soon as the order service's copy has its products; return its id.

        Args:
            patience: seconds to wait for the products.
        """
        end = time.monotonic() + patience
        while True:
            answer = self.place(order)
            if answer.status_code == httpx.codes.ACCEPTED:
                return str(answer.json()["order"])
            if answer.json().get("code") != "unknown_sku" or time.monotonic() > end:
                raise RuntimeError(f"the order was not accepted: {answer.status_code} {answer.text}")
            time.sleep(LOOK_SECONDS)

    def detail(self, order: str) -> dict[str, Any]:
        answer = self.http.get(f"/api/orders/{order}/")
        answer.raise_for_status()
        return dict(answer.json())

    def orders(self, page_size: int = PAGE) -> Iterator[dict[str, Any]]:
        """Yield all orders, newest first; each request reads a page."""
        url: str | None = f"/api/orders/?limit={page_size}"
        while url:
            answer = self.http.get(url)
            answer.raise_for_status()
            found = answer.json()
            yield from found["results"]
            url = found["next"]

    def wait_for_ends(
        self, orders: Sequence[str], *, patience: float, progress: Callable[[int], None] = lambda _: None
    ) -> list[Ended]:
        """Wait until all `orders` have ended or are parked.

        Args:
            patience: seconds to wait for the next end.
            progress: is called with the number of ended orders.

        Raises:
            TimeoutError: no further order ended in time; the text names some.
        """
        wanted, ended = set(orders), dict[str, Ended]()
        page_size = min(max(len(wanted), SHORT_PAGE), PAGE)
        since = time.monotonic()
        while len(ended) < len(wanted):
            # Newest first: the orders of earlier runs are not read.
            looked_at = islice((o for o in self.orders(page_size) if o["id"] in wanted), len(wanted))
            found = {o["id"]: read_end(o) for o in looked_at if o["status"] in ENDED}
            if len(found) > len(ended):
                since = time.monotonic()
            ended = found
            progress(len(ended))
            if time.monotonic() - since > patience:
                stuck = sorted(wanted - set(ended))
                raise TimeoutError(
                    f"{len(stuck)} orders did not end within {patience:.0f} s: {', '.join(stuck[:5])} …"
                )
            if len(ended) < len(wanted):
                time.sleep(LOOK_SECONDS)
        return list(ended.values())

    def close(self) -> None:
        self.http.close()


def open_inventory(environment: Mapping[str, str]) -> httpx.Client:
    """Return a client of inventory in the operator's name.

    Args:
        environment: that of the stack's processes.
    """
    token = environment[name_token((OPERATOR, "inventory"))]
    return httpx.Client(
        base_url=environment["INVENTORY_URL"],
        headers={"Authorization": f"Bearer {token}"},
        trust_env=False,
        timeout=60,
    )


def fill_empty_shelves(environment: Mapping[str, str]) -> None:
    """Put the goods of the little shop on the shelves, if inventory has no product yet.

    Raises:
        httpx.HTTPError: inventory does not answer, or not as it should.
    """
    with open_inventory(environment) as inventory:
        if not inventory.get("/api/products/?limit=1").raise_for_status().json()["results"]:
            inventory.post("/api/products/", json=DELIVERY).raise_for_status()


def read_end(order: dict[str, Any]) -> Ended:
    ended_at = order["ended_at"]
    seconds = 0.0
    if ended_at:
        taken = datetime.fromisoformat(ended_at) - datetime.fromisoformat(order["created_at"])
        seconds = taken.total_seconds()
    return Ended(order["id"], order["status"], order["cancel_code"], seconds)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which `share` (0 to 1) of the values lie, by nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
