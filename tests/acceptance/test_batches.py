"""Many parked orders, mended by one batch over HTTP, while its relay is killed twice and some of them move."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from celery_config.sandbox.words import Token
from tests.acceptance.browsing import find_barriers, find_clipped, open_wide_and_narrow
from tests.acceptance.shop import UNREACHABLE, Shop, until
from tests.acceptance.test_bulk import count, mend, park
from tests.long_form import is_long

MANY = 1000 if is_long() else 60
MOVED = MANY // 20
PATIENCE = 60 + MANY / 2
WHY = "the provider is mended"
FIELDS, RATE = {"payment_token": Token.VOID_FAILS.value, "address": UNREACHABLE}, 20 * MANY


@pytest.fixture
def orders(shop: Shop) -> Iterator[list[str]]:
    """Orders that the carrier refuses, and whose money cannot be released: parked."""
    placed = shop.place_all([shop.order(**FIELDS) for _ in range(MANY)])
    park(shop, placed)
    yield placed
    mend(shop)


def ask(shop: Shop, path: str, **body: Any) -> Any:
    answer = shop.shopper.http.post(f"/api/{path}", json={"why": WHY, **body})
    assert answer.is_success, answer.text
    return answer.json()


def read(shop: Shop, batch: str) -> Any:
    return shop.shopper.http.get(f"/api/batches/{batch}/").raise_for_status().json()


def read_items(shop: Shop, batch: str) -> list[dict[str, Any]]:
    http, path, rows = shop.shopper.http, f"/api/batches/{batch}/items/?limit=500", []
    while path:
        page = http.get(path).raise_for_status().json()
        rows += page["results"]
        path = page["next"]
    return rows


def look_at_page(shop: Shop, batch: str, says: str) -> None:
    """Open the batch's page, wide and narrow, light and dark: nothing is in anybody's way, and it renews itself."""
    home = f"{shop.stack.url('order')}/admin/"
    for page, complaints in open_wide_and_narrow(home, shop.stack.admin_login):
        page.goto(f"{home}batches/batch/{batch}/change/")
        expect(page.locator("#progress")).to_contain_text(says)
        assert [*find_barriers(page), *find_clipped(page), *complaints] == []


def test_each_has_its_true_outcome_though_the_relay_is_killed(shop: Shop, orders: list[str]) -> None:
    batch = ask(shop, "batches/", verb="retry", status="parked", per_minute=RATE, one_first=False)["id"]
    until(lambda: read(shop, batch)["state"] == "ready", "the dry run is done", patience=PATIENCE)
    dry = read(shop, batch)
    assert {(part["would_be"], part["count"]) for part in dry["parts"]} == {("cancelled", MANY)}, dry
    look_at_page(shop, batch, f"Checked: {MANY}. Nothing is changed yet.")
    sagas = [
        str(row["id"])
        for row in shop.rows("order", "SELECT id FROM saga_sagainstance WHERE subject = ANY(%s)", orders)
    ]
    moved = sagas[-MOVED:]
    for saga in moved:
        ask(shop, f"sagas/{saga}/retry/")
    ask(shop, f"batches/{batch}/start/")
    for share in (4, 2):
        until(
            lambda share=share: count(shop, "status <> 'parked'", orders) > MANY // share,
            "a part is on its way",
        )
        shop.stack.supervisor.kill("order-relay")
        shop.stack.restart("order-relay")
    until(
        lambda: read(shop, batch)["state"] == "ended", "each was acted on, or left alone", patience=PATIENCE
    )
    # Not before: what a participant tries again by itself would end without the batch.
    mend(shop)
    until(lambda: read(shop, batch)["settled_at"], "each has its outcome", patience=PATIENCE)
    look_at_page(shop, batch, f"It has acted on {MANY - MOVED} of {MANY}.")
    states = Counter((row["state"], row["outcome"]) for row in read_items(shop, batch))
    assert states == {("acted", "compensated"): MANY - MOVED, ("left alone", ""): MOVED}
    left = {row["flow"]: row["reason"] for row in read_items(shop, batch) if row["state"] == "left alone"}
    assert left == dict.fromkeys(moved, "it has moved since it was chosen")
    until(
        lambda: count(shop, "status = 'compensated'", orders) == MANY,
        "those that moved end, too",
        patience=PATIENCE,
    )
    acts = (
        "SELECT saga_id, count(*) AS n FROM saga_operatoraction"
        " WHERE verb = 'retry' AND saga_id = ANY(%s::uuid[]) GROUP BY 1"
    )
    assert {row["n"] for row in shop.rows("order", acts, sagas)} == {1}, "nothing is done twice"
