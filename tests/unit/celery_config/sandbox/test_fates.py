"""The table of fates: what each puts into an order."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from celery_config.sandbox.fates import FATES, MORE_THAN_ALL, End, Fate
from celery_config.sandbox.goods import ADDRESS, CURRENCY, GOODS, SOLD_OUT
from compose.local.demo import draw_orders
from order_project.domain import MAX_QUANTITY

ORDER = {"lines": [{"sku": "TEA", "quantity": 1}], "currency": CURRENCY, "address": ADDRESS}


@pytest.mark.parametrize("fate", FATES.values(), ids=FATES)
def test_a_fate_changes_card_address_or_lines_and_nothing_else(fate: Fate) -> None:
    given = fate.give_to(ORDER)
    assert given["payment_token"] == fate.token
    assert {part: given["address"][part] for part in fate.address} == fate.address
    assert {name: given["address"][name] for name in ADDRESS if name not in fate.address} == {
        name: value for name, value in ADDRESS.items() if name not in fate.address
    }
    assert given["lines"][0] == ORDER["lines"][0]
    assert ORDER["lines"] == [{"sku": "TEA", "quantity": 1}], "the order that was given stays as it is"


def test_what_is_sold_out_is_asked_for_twice_or_more_than_anybody_has() -> None:
    fate = FATES["sold-out"]
    assert fate.give_to(ORDER)["lines"][-1] == {"sku": SOLD_OUT.sku, "quantity": 2}
    assert fate.give_to(ORDER, known=())["lines"] == [{"sku": "TEA", "quantity": MAX_QUANTITY}]
    assert MORE_THAN_ALL == MAX_QUANTITY


def test_what_is_cancelled_says_why_and_what_is_confirmed_does_not() -> None:
    assert all(fate.code for fate in FATES.values() if fate.end is End.CANCELLED)
    assert not any(fate.code for fate in FATES.values() if fate.end is End.CONFIRMED)


def test_demo_draws_its_hundred_orders_from_the_table() -> None:
    orders = list(draw_orders(100, random.Random(1)))
    tokens = Counter(order["payment_token"] for order in orders)
    assert len(orders) == 100
    assert tokens["tok_card_declined"] == FATES["declined"].share
    assert sum(order["address"]["country"] == "AQ" for order in orders) == FATES["unreachable"].share
    assert {line["sku"] for order in orders for line in order["lines"]} <= {
        good.sku for good in (*GOODS, SOLD_OUT)
    }


def test_the_reference_page_has_every_fate() -> None:
    page = (Path(__file__).resolve().parents[4] / "docs/reference/commands.md").read_text(encoding="utf-8")
    ends = {End.CONFIRMED: "confirmed", End.CANCELLED: "cancelled, `{}`", End.PARKED: "waits for a decision"}
    rows = [f"| `{f.name}` | {f.label} | {ends[f.end].format(f.code)} |" for f in FATES.values()]
    assert [row for row in rows if row not in page] == []
