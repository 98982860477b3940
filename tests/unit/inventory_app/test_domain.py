"""What stock may do."""

from __future__ import annotations

import re
from uuid import uuid4

import pytest

from celery_config.contracts.inventory import SKU_PATTERN, Line
from celery_config.errors import Refused
from inventory_app import domain
from inventory_app.domain import Level, ReservationState
from inventory_app.errors import RepeatedProduct, ReservationLost, StockBelowReserved

ORDER = uuid4()


def lines(*pairs: tuple[str, int]) -> list[Line]:
    return [Line(sku=sku, quantity=quantity) for sku, quantity in pairs]


def refusal(levels: dict[str, Level], wanted: dict[str, int]) -> Refused:
    with pytest.raises(Refused) as caught:
        domain.reserve(levels, wanted)
    return caught.value


def test_lines_of_one_product_are_merged_and_sorted_by_sku() -> None:
    merged = domain.merge_lines(lines(("B", 2), ("A", 1), ("B", 3)))
    assert list(merged.items()) == [("A", 1), ("B", 5)]


@pytest.mark.parametrize("bad", [[], lines(("A", 0)), lines(("A", 5), ("A", -2))])
def test_lines_without_a_positive_quantity_are_refused(bad: list[Line]) -> None:
    with pytest.raises(Refused, match="invalid_lines"):
        domain.merge_lines(bad)


def test_all_lines_are_held() -> None:
    held = domain.reserve({"A": Level(5, 1), "B": Level(2, 0)}, {"A": 4, "B": 1})
    assert held == {"A": Level(5, 5), "B": Level(2, 1)}


def test_one_short_line_refuses_all_and_is_named() -> None:
    refused = refusal({"A": Level(5, 1), "B": Level(2, 2)}, {"A": 4, "B": 1})
    assert refused.code == "out_of_stock"
    assert refused.reason == "too few of B (1 wanted, 0 available)"


def test_unknown_and_inactive_products_are_named() -> None:
    assert str(refusal({}, {"X": 1})) == "unknown_sku: no such product: X"
    assert str(refusal({"A": Level(9, 0, active=False)}, {"A": 1})) == "inactive_product: no longer sold: A"


def test_a_long_list_of_short_products_is_cut() -> None:
    wanted = {f"S{n:02d}": 1 for n in range(23)}
    refused = refusal({sku: Level(0, 0) for sku in wanted}, wanted)
    assert refused.reason.count("wanted") == domain.NAMED
    assert refused.reason.endswith("and 3 more")


def test_release_frees_and_commit_takes() -> None:
    assert domain.release(Level(5, 3), 2) == Level(5, 1)
    assert domain.commit(Level(5, 3), 2) == Level(3, 1)


def test_an_adjustment_leaves_what_orders_hold() -> None:
    assert domain.adjust(Level(5, 3), -2) == Level(3, 3)
    with pytest.raises(StockBelowReserved):
        domain.adjust(Level(5, 3), -3)


def test_a_reservation_ends_once() -> None:
    domain.check_ended("released", ReservationState.RELEASED, ORDER)
    with pytest.raises(ReservationLost, match="is released; it cannot be committed"):
        domain.check_ended("released", ReservationState.COMMITTED, ORDER)
    with pytest.raises(ReservationLost, match="no reservation"):
        domain.check_ended(None, ReservationState.RELEASED, ORDER)


def test_a_product_named_twice_is_an_error() -> None:
    domain.check_unique(["A", "B"])
    with pytest.raises(RepeatedProduct, match=r"more than once: A$"):
        domain.check_unique(["A", "B", "A"])


@pytest.mark.parametrize("sku", ["85123A", "POST", "BANK CHARGES", "gift_0001_20", "C.2-x", "é", "...", ".A"])
def test_skus(sku: str) -> None:
    assert re.match(SKU_PATTERN, sku)


@pytest.mark.parametrize(
    "sku",
    ["", " A", "A ", "A/B", "A\\B", "A\nB", "A\n", "A\tB", "A\u200b", "\u202eA", "\xad", "A\0", ".", ".."],
)
def test_what_is_no_sku(sku: str) -> None:
    assert not re.match(SKU_PATTERN, sku)


def test_ids_follow_from_what_they_name() -> None:
    assert domain.reservation_id(ORDER) == domain.reservation_id(ORDER) != domain.reservation_id(uuid4())
