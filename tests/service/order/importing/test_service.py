"""Invoices become orders; what the order service refuses is a row of the report."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from celery_config.contracts.values import Address
from celery_config.messaging.models import IdempotencyKey
from order_project.domain import RequestLine
from order_project.importing import service
from order_project.importing.invoices import Invoice, Product
from order_project.importing.service import Placement
from order_project.models import CatalogueProduct, Order
from tests.service.order.conftest import HEART, LAMP, Shop

FIRST = Invoice("536365", "17850", "GB", [RequestLine(sku=HEART, quantity=6)])
SECOND = Invoice("536366", "17850", "GB", [RequestLine(sku=LAMP, quantity=1)])


@pytest.fixture(autouse=True)
def _catalogue(shop: Shop) -> None:
    CatalogueProduct.objects.update(currency="GBP")


def place(*invoices: Invoice, token: str = "tok_approved") -> Placement:
    return service.place_invoices(invoices, token=token, progress=lambda _: None)


class Inventory:
    """Inventory with one product, for which something else has been written than a file says.

    `quicker`: how many products of a post someone else has created since they were read.
    """

    def __init__(self) -> None:
        self.posted: dict[str, list[Any]] = {}
        self.quicker = 0

    def get_pages(self, path: str) -> list[list[dict[str, Any]]]:
        assert path.startswith("/api/products/?limit=")
        return [[], [{"sku": HEART, "name": "HEART", "price": 999, "currency": "GBP", "active": False}]]

    def post(self, path: str, body: dict[str, Any]) -> dict[str, int]:
        assert body["only_new"] is True
        rows = body["products"]
        self.posted.setdefault(path, []).extend(rows)
        return {"created": len(rows) - self.quicker}


@pytest.fixture
def inventory(monkeypatch: pytest.MonkeyPatch) -> Inventory:
    inventory = Inventory()
    monkeypatch.setattr(service, "ServiceClient", lambda name, **_: inventory)
    return inventory


def test_products_that_inventory_has_stay_as_they_are(inventory: Inventory) -> None:
    products = [Product(HEART, "HEART", 255), Product(LAMP, "L" * 201, 339), Product("S3", "MUG", 1)]
    upload = service.upload_catalogue(products, opening=5)
    assert upload == service.Upload(new=2, cut=1, existing=1, priced_differently=1)
    posted = [(row["sku"], len(row["name"])) for row in inventory.posted["/api/products/"]]
    assert posted == [(LAMP, 200), ("S3", 3)]
    assert [row["opening_stock"] for row in inventory.posted["/api/products/"]] == [5, 5]
    assert list(inventory.posted) == ["/api/products/"]


def test_a_product_that_someone_else_creates_meanwhile_is_not_new(inventory: Inventory) -> None:
    inventory.quicker = 1
    upload = service.upload_catalogue([Product(LAMP, "L", 339), Product("S3", "MUG", 1)], opening=5)
    assert (upload.new, upload.existing) == (1, 1)


def test_without_new_products_none_is_posted(inventory: Inventory) -> None:
    upload = service.upload_catalogue([Product(HEART, "HEART", 999)], opening=5)
    assert upload == service.Upload(new=0, cut=0, existing=1, priced_differently=0)
    assert "/api/products/" not in inventory.posted


def test_an_invoice_is_placed_once() -> None:
    assert place(FIRST).orders == place(FIRST).orders
    assert Order.objects.get().reference == "536365"


def test_an_invoice_whose_key_was_forgotten_is_known_by_its_number() -> None:
    first = place(FIRST)
    IdempotencyKey.objects.all().delete()
    again = place(FIRST, SECOND)
    assert (again.orders[0], again.repeated, again.faults) == (first.orders[0], 1, [])
    assert Order.objects.count() == 2


def test_one_of_the_release_that_made_up_addresses_is_a_repeat(monkeypatch: pytest.MonkeyPatch) -> None:
    def build_address(invoice: Invoice) -> Address:
        return Address(
            name=f"Customer {invoice.customer}", line1=f"Invoice {invoice.number}", city="unknown",
            postal_code="unknown", country=invoice.country,
        )  # fmt: skip

    with monkeypatch.context() as before:
        before.setattr(service, "build_address", build_address)
        first = place(FIRST)
    again = place(FIRST, SECOND)
    IdempotencyKey.objects.all().delete()
    by_number = place(FIRST)
    assert (again.orders[0], again.repeated, by_number.orders) == (first.orders[0], 1, first.orders)
    assert again.faults == by_number.faults == []


def test_an_address_says_no_more_than_the_file(shop: Shop) -> None:
    orders = [*place(FIRST).orders, shop.place(currency="GBP").order]
    kept = {"name": "Customer 17850", "line1": "", "city": "", "postal_code": "", "country": "GB"}
    assert Order.objects.get(pk=orders[0]).address == kept
    assert service.count_incomplete(orders) == 1


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
