"""The order service's copy of the catalogue, as every copy is fed: whatever order the events come in."""

from __future__ import annotations

import itertools
from typing import Any
from uuid import uuid4

import pytest
from celery import current_app

from celery_config.contracts.base import Event
from celery_config.contracts.inventory import ProductChanged, ProductDeleted
from celery_config.copies import resync
from celery_config.copies.models import FINAL_VERSION
from celery_config.copies.ranges import RowVersion
from celery_config.errors import Forged
from celery_config.http.service_client import ServiceCallError
from celery_config.messaging.inbox.subscriptions import deliver
from celery_config.messaging.models import OutboxMessage
from celery_config.messaging.outbox.writing import cloud_event
from order_project import selectors
from order_project.models import CatalogueProduct
from tests.service.copies_source import AT
from tests.service.together import concurrent, together

pytestmark = pytest.mark.django_db
SKU = "85123A"


def change(version: int, *, sku: str = SKU, price: int | None = None) -> ProductChanged:
    return ProductChanged(
        sku=sku, name=f"Heart {version}", price=price or 100 + version, currency="GBP", weight_grams=150,
        active=version % 2 == 1, version=version,
    )  # fmt: skip


def deletion(version: int) -> ProductDeleted:
    return ProductDeleted(sku=SKU, version=version)


def receive(*events: Any) -> None:
    deliver([cloud_event(event, subject=event.sku) for event in events])


def the_copy() -> tuple[object, ...]:
    return CatalogueProduct.objects.values_list("name", "price", "active", "version").get(sku=SKU)


def state(version: int) -> tuple[object, ...]:
    return (f"Heart {version}", 100 + version, version % 2 == 1, version)


def asked_again() -> list[list[str]]:
    found = OutboxMessage.objects.filter(name=resync.RESYNC).order_by("id")
    return [payload["kwargs"]["keys"] for payload in found.values_list("payload", flat=True)]


def test_a_new_product_and_its_changes() -> None:
    receive(change(1))
    assert the_copy() == state(1)
    receive(change(2))
    assert the_copy() == state(2)
    assert asked_again() == []


@pytest.mark.parametrize("event", [change(FINAL_VERSION), deletion(FINAL_VERSION + 1)])
def test_no_version_keeps_out_all_that_come_after_it(event: Any) -> None:
    """Not even `sync` mends a row of the last version, since it is that of what is gone for good."""
    receive(change(1))
    with pytest.raises(Forged, match="which no row can have"):
        receive(event)
    receive(change(2))
    assert the_copy() == state(2)


@pytest.mark.parametrize("order", list(itertools.permutations([1, 2, 3])))
def test_in_whatever_order_they_come_the_newest_stays(order: tuple[int, ...]) -> None:
    """Rule 21 (events): they carry full state and a version; relays publish out of order and that is harmless."""
    for version in order:
        receive(change(version))
    assert the_copy() == state(3)


def test_many_that_come_together_are_one_write() -> None:
    receive(change(2), change(1), change(1, sku="other"), change(3))
    assert the_copy() == state(3)
    assert asked_again() == []


def test_a_repeat_changes_nothing() -> None:
    receive(change(1), change(2))
    applied = CatalogueProduct.objects.get(sku=SKU).applied_at
    receive(change(2, price=999))
    assert the_copy() == state(2)
    assert CatalogueProduct.objects.get(sku=SKU).applied_at == applied


def test_other_products_stay_as_they_are() -> None:
    receive(change(1))
    receive(change(1, sku="other"))
    assert the_copy() == state(1)


@pytest.mark.parametrize("order", list(itertools.permutations([change(1), deletion(2), change(3)])))
def test_a_product_that_was_deleted_and_came_back_is_there(order: tuple[Event, ...]) -> None:
    for event in order:
        receive(event)
    assert the_copy() == state(3)


def test_a_late_event_does_not_bring_a_deleted_product_back() -> None:
    receive(change(1))
    receive(deletion(3))
    receive(change(2))
    assert not CatalogueProduct.objects.exists()
    left = CatalogueProduct.everything.values_list(
        "name", "price", "currency", "active", "version", "deleted"
    )
    assert left.get() == ("", 0, "", False, 3, True)
    assert selectors.read_catalogue([SKU]) == {}


class TestAGap:
    def test_what_came_is_applied_and_the_row_is_asked_for_later(self) -> None:
        receive(change(1), change(1, sku="other"))
        receive(change(3), change(2, sku="other"))
        assert the_copy() == state(3)
        assert asked_again() == [[SKU]]

    def test_a_first_event_that_is_not_the_first_version_is_one(self) -> None:
        receive(change(4))
        assert asked_again() == [[SKU]]

    def test_the_answer_is_applied(self, monkeypatch: pytest.MonkeyPatch) -> None:
        receive(change(3))
        values = ("Heart 5", 105, "GBP", 150, True)
        monkeypatch.setattr(resync, "fetch_rows", lambda message: [RowVersion(SKU, 5, AT, values)])
        message = OutboxMessage.objects.get(name=resync.RESYNC).payload
        current_app.tasks[message["task"]](**message["kwargs"])
        assert the_copy() == state(5)

    def test_a_source_that_is_away_is_asked_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        receive(change(3))

        def away(message: Any) -> None:
            raise ServiceCallError("away")

        monkeypatch.setattr(resync, "fetch_rows", away)
        task = current_app.tasks[resync.RESYNC]
        with pytest.raises(Exception, match="again in"):
            task(copy="catalogue_product", keys=[SKU])
        assert len(asked_again()) == 2


@concurrent
def test_many_at_once() -> None:
    """Rule 21 (events): of two inserts one waits for the other and then compares versions."""
    for _ in range(5):
        CatalogueProduct.everything.all().delete()
        done = together(*[lambda v=v: receive(change(v)) for v in (3, 1, 5, 2, 4)])
        assert done == [None] * 5
        assert the_copy() == state(5)


def test_an_event_of_a_saga_that_is_none_of_ours_is_no_product() -> None:
    deliver([cloud_event(change(1), subject=SKU, saga=uuid4())])
    assert the_copy() == state(1)
