"""The order service's own copy of inventory's products, kept fresh by events."""

from __future__ import annotations

import itertools
from uuid import uuid4

import pytest

from celery_config.contracts.inventory import ProductChanged
from celery_config.digest import digest
from celery_config.messaging.events import deliver
from celery_config.messaging.outbox import cloud_event
from order_project import selectors
from order_project.models import CatalogueProduct
from tests.service.together import concurrent, together

pytestmark = pytest.mark.django_db


def change(version: int, *, sku: str = "85123A", price: int | None = None) -> ProductChanged:
    return ProductChanged(
        sku=sku, name=f"Heart {version}", price=price or 100 + version, currency="EUR",
        weight_grams=150, active=version % 2 == 1, version=version,
    )  # fmt: skip


def receive(product: ProductChanged) -> None:
    deliver([cloud_event(product, subject=product.sku)])


def the_copy() -> tuple[object, ...]:
    return CatalogueProduct.objects.values_list("name", "price", "active", "version").get(sku="85123A")


def state(version: int) -> tuple[object, ...]:
    return (f"Heart {version}", 100 + version, version % 2 == 1, version)


def test_a_new_product_and_its_changes() -> None:
    receive(change(1))
    assert the_copy() == state(1)
    receive(change(2))
    assert the_copy() == state(2)


@pytest.mark.parametrize("order", list(itertools.permutations([1, 2, 3])))
def test_in_whatever_order_they_come_the_newest_stays(order: tuple[int, ...]) -> None:
    """Rule 21: events carry full state and a version; relays publish out of order and that is harmless."""
    for version in order:
        receive(change(version))
    assert the_copy() == state(3)


def test_a_repeat_changes_nothing() -> None:
    receive(change(2))
    receive(change(2, price=999))
    assert the_copy() == state(2)


def test_other_products_stay_as_they_are() -> None:
    receive(change(1))
    receive(change(5, sku="other"))
    assert the_copy() == state(1)


@concurrent
def test_many_at_once() -> None:
    """Rule 21: of two newcomers one waits for the other and then compares versions."""
    for _ in range(5):
        CatalogueProduct.objects.all().delete()
        done = together(*[lambda v=v: receive(change(v)) for v in (3, 1, 5, 2, 4)])
        assert done == [None] * 5
        assert the_copy() == state(5)


def test_an_event_of_a_saga_that_is_none_of_ours_is_no_product() -> None:
    deliver([cloud_event(change(1), subject="85123A", saga=uuid4())])
    assert the_copy() == state(1)


def test_an_equal_copy_has_an_equal_digest() -> None:
    """Rule 20."""
    for sku, version in (("B", 2), ("a", 1)):
        receive(change(version, sku=sku))
    assert selectors.catalogue_digest() == digest([("a", 1), ("B", 2)])
