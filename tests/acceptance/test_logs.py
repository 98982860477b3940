"""An order is found in the logs of all services by the id of the request that placed it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from celery_config.common.services import SERVICES
from tests.acceptance.process_errors import measure_logs, read_entry
from tests.acceptance.shop import ADDRESS, UNREACHABLE, Shop

CONFIRMED: dict[str, Any] = {}
UNDONE = {"address": UNREACHABLE}
TRIED_AGAIN = {"payment_token": "tok_error_after_charging"}
WAYS = {
    "orchestrated": ("orchestrated", {}),
    "choreographed": ("choreographed", {}),
    "over REST": ("orchestrated", {"PLACE_ORDER_VERSION": "3"}),
}
IDS = ("order", "saga", "subject")


@pytest.mark.parametrize("way", WAYS)
def test_each_line_about_an_order_names_its_request(shop: Shop, log_folder: Path, way: str) -> None:
    flow, settings = WAYS[way]
    with shop.restarted_with(settings, "order-web") if settings else nullcontext():
        placed = [place(shop, shop.order(flow=flow, **fields)) for fields in (CONFIRMED, UNDONE, TRIED_AGAIN)]
        shop.ends([order for order, _ in placed])
        sagas = {order: (shop.shopper.detail(order)["saga"] or {"id": order})["id"] for order, _ in placed}

    lines = list(read_lines(log_folder))
    for order, request_id in placed:
        about = [line for line in lines if {line.get(name) for name in IDS} & {order, sagas[order]}]
        assert [line for line in about if line.get("request_id") != request_id] == []
        assert {line["service"] for line in about} == {*SERVICES}
        (accepted,) = (line for line in about if line["event"] == "order accepted")
        assert (accepted["order"], accepted["saga"]) == (order, sagas[order])
        assert accepted["client"]


def test_no_line_tells_who_ordered(shop: Shop, log_folder: Path) -> None:
    street, reference = f"{uuid4()} Harbour Street", f"for-ada-{uuid4()}"
    order, request_id = place(shop, shop.order(address={**ADDRESS, "line1": street}))
    shop.ends([order])
    assert shop.shopper.http.get("/api/orders/", params={"reference": reference}).status_code == 200
    texts = "".join(path.read_text(errors="replace") for path in measure_logs(log_folder))
    assert request_id in texts
    assert street not in texts
    assert reference not in texts


def place(shop: Shop, body: dict[str, Any]) -> tuple[str, str]:
    """Place an order; return its id and that of the request."""
    request_id = f"checkout-{uuid4()}"
    answer = shop.shopper.http.post("/api/orders/", json=body, headers={"X-Request-ID": request_id})
    assert answer.status_code == 202, answer.text
    assert answer.headers["X-Request-ID"] == request_id
    return str(answer.json()["order"]), request_id


def read_lines(folder: Path) -> Iterator[dict[str, Any]]:
    """The lines of all our processes."""
    for path in measure_logs(folder):
        for line in path.read_text(errors="replace").splitlines():
            if entry := read_entry(line):
                yield entry
