"""What an order may be."""

from __future__ import annotations

from typing import Any

import pytest

from celery_config.contracts.inventory import Line
from celery_config.contracts.payment import MAX_AMOUNT
from order_project.domain import (
    MAX_WEIGHT_GRAMS,
    CatalogueEntry,
    RequestLine,
    count_parcels,
    find_faults,
    merge_lines,
)


def entry(*, price: int = 100, grams: int = 10, currency: str = "GBP", **more: Any) -> CatalogueEntry:
    return CatalogueEntry("TEA", "Tea", price, currency, grams, **{"active": True, **more})


def codes(catalogue_entry: CatalogueEntry, quantity: int = 1) -> list[str]:
    return [
        f.code
        for f in find_faults([RequestLine(sku="TEA", quantity=quantity)], {"TEA": catalogue_entry}, "GBP")
    ]


def test_a_good_order_has_no_fault() -> None:
    assert codes(entry()) == []


@pytest.mark.parametrize(
    ("catalogue_entry", "code"),
    [
        (entry(active=False), "inactive_product"),
        (entry(currency="EUR"), "wrong_currency"),
        (entry(price=0), "nothing_to_pay"),
        (entry(price=MAX_AMOUNT + 1), "order_too_large"),
        (entry(grams=MAX_WEIGHT_GRAMS + 1), "order_too_large"),
        (entry(payable=False), "currency_not_supported"),
        (entry(payable=True, price=12345, step=10), "amount_not_payable"),
    ],
)
def test_what_cannot_be_ordered(catalogue_entry: CatalogueEntry, code: str) -> None:
    assert codes(catalogue_entry) == [code]


@pytest.mark.parametrize(
    ("catalogue_entry", "quantity"),
    [
        (entry(price=12345), 1),  # what the provider takes is not known yet
        (entry(payable=True, price=12340, step=10), 1),
        (entry(payable=True, price=12345, step=10), 2),  # the total counts
    ],
)
def test_what_can_be_paid(catalogue_entry: CatalogueEntry, quantity: int) -> None:
    assert codes(catalogue_entry, quantity) == []


def test_what_no_carrier_could_write_down_is_refused_before_anything_is_done() -> None:
    assert codes(entry(grams=MAX_WEIGHT_GRAMS // 2), quantity=3) == ["order_too_large"]


def test_lines_of_one_product_become_one() -> None:
    lines = [Line(sku="A", quantity=1), Line(sku="B", quantity=2), Line(sku="A", quantity=3)]
    assert merge_lines(lines) == [Line(sku="A", quantity=4), Line(sku="B", quantity=2)]


@pytest.mark.parametrize(("grams", "count"), [(0, 1), (30_000, 1), (30_001, 2)])
def test_parcels(grams: int, count: int) -> None:
    assert count_parcels(grams) == count
