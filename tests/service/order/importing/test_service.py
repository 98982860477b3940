"""Invoices become orders; what the order service refuses is a row of the report."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from order_project.domain import RequestLine
from order_project.importing import service
from order_project.importing.invoices import Invoice
from order_project.importing.service import Placement
from order_project.models import CatalogueProduct, IdempotencyKey, Order
from tests.service.order.conftest import HEART, LAMP, Shop

FIRST = Invoice("536365", "17850", "GB", [RequestLine(sku=HEART, quantity=6)])
SECOND = Invoice("536366", "17850", "GB", [RequestLine(sku=LAMP, quantity=1)])


@pytest.fixture(autouse=True)
def _catalogue(shop: Shop) -> None:
    CatalogueProduct.objects.update(currency="GBP")


def place(*invoices: Invoice, token: str = "tok_approved") -> Placement:
    return service.place_invoices(invoices, token=token, progress=lambda _: None)


def test_an_invoice_is_placed_once() -> None:
    assert place(FIRST).orders == place(FIRST).orders
    assert Order.objects.get().reference == "536365"


def test_an_invoice_whose_key_was_forgotten_is_known_by_its_number() -> None:
    first = place(FIRST)
    IdempotencyKey.objects.all().delete()
    again = place(FIRST, SECOND)
    assert (again.orders[0], again.repeated, again.faults) == (first.orders[0], 1, [])
    assert Order.objects.count() == 2


@pytest.mark.parametrize(
    "other",
    [{"lines": [RequestLine(sku=HEART, quantity=7)]}, {"customer": "13047"}, {"country": "FR"}],
)
def test_one_that_was_placed_with_other_contents(other: dict[str, Any]) -> None:
    place(FIRST)
    placement = place(replace(FIRST, **other), SECOND)
    assert [(f.invoice, f.code) for f in placement.faults] == [("536365", "already_imported_differently")]
    assert [Order.objects.get(pk=order).reference for order in placement.orders] == ["536366"]
    assert Order.objects.count() == 2


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (RequestLine(sku="no such", quantity=1), "unknown_sku"),
        (RequestLine(sku=HEART, quantity=10**17), "bad_quantity"),
    ],
)
def test_one_that_cannot_be_ordered(line: RequestLine, code: str) -> None:
    placement = place(replace(FIRST, lines=[line]), SECOND)
    assert [(f.invoice, f.code) for f in placement.faults] == [("536365", code)]
    assert len(placement.orders) == 1
