"""A published table: whoever changes it, however, versions have no gap and every change is announced."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import IntegrityError, OperationalError, connection, transaction
from django.db.models import F
from rest_framework.test import APIClient

from celery_config.contracts.base import decode
from celery_config.contracts.inventory import ProductChanged, ProductDeleted
from celery_config.copies import triggers
from celery_config.copies.models import Tombstone
from celery_config.copies.registry import publications
from celery_config.messaging import epochs
from celery_config.messaging.inbox.subscriptions import Envelope
from celery_config.messaging.models import OutboxMessage
from celery_config.messaging.outbox import writing
from inventory_app.models import Product
from tests.service.together import concurrent, in_background, postgresql, until_waiting_for_a_lock

pytestmark = pytest.mark.django_db


def product(sku: str, **fields: Any) -> Product:
    given: dict[str, Any] = {"name": f"Product {sku}", "price": 250, "currency": "GBP", "weight_grams": 20}
    return Product(sku=sku, **given | fields)


def announced() -> list[tuple[str, str, int]]:
    events = OutboxMessage.objects.filter(kind="event").order_by("id").values_list("payload", flat=True)
    return [(e["type"].rpartition("_")[2], e["data"]["sku"], e["data"]["version"]) for e in events]


def versions() -> dict[str, int]:
    return dict(Product.objects.order_by("pk").values_list("pk", "version"))


def execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def test_an_event_is_what_the_outbox_would_have_made_of_it() -> None:
    product("Ä'1", active=False, name='Ding "1"').save()
    payload = OutboxMessage.objects.get().payload
    event = ProductChanged(
        sku="Ä'1", name='Ding "1"', price=250, currency="GBP", weight_grams=20, active=False, version=1
    )
    expected = writing.cloud_event(event, subject="Ä'1", epoch=epochs.current().token)
    assert payload.keys() == expected.keys()
    differing = {"id", "time"}
    assert {n: v for n, v in payload.items() if n not in differing} == {
        n: v for n, v in expected.items() if n not in differing
    }
    assert decode(ProductChanged, payload["data"]) == event
    assert abs((decode(Envelope, payload).time - decode(Envelope, expected).time).total_seconds()) < 60


def test_each_way_of_writing_is_announced_once() -> None:
    Product.objects.bulk_create([product("B"), product("A")])
    Product.objects.update(price=F("price") + 1)
    Product.objects.bulk_update([product("A", name="One"), product("B", name="Two")], ["name"])
    execute("UPDATE inventory_product SET active = NOT active WHERE sku = 'A'")
    changed = Product.objects.get(pk="B")
    changed.weight_grams = 7
    changed.save()
    assert sorted(announced()) == [("changed", sku, version) for sku in "AB" for version in (1, 2, 3, 4)]
    assert versions() == {"A": 4, "B": 4}


def test_what_changes_no_published_field_is_no_change() -> None:
    Product.objects.bulk_create([product("A")])
    before = Product.objects.get()
    Product.objects.update(price=250, created_at=before.created_at)
    before.save()
    assert announced() == [("changed", "A", 1)]
    assert Product.objects.get().updated_at == before.updated_at


def test_an_old_instance_that_is_saved_does_not_turn_the_version_back() -> None:
    product("A").save()
    old = Product.objects.get()
    Product.objects.update(price=1)
    Product.objects.update(price=2)
    old.name = "Renamed"
    old.save()
    assert versions() == {"A": 4}
    assert Product.objects.get().price == 250


def test_a_deletion_leaves_a_tombstone_and_a_key_that_comes_back_goes_on_counting() -> None:
    Product.objects.bulk_create([product("A"), product("B")])
    Product.objects.update(price=1)
    Product.objects.filter(pk="A").delete()
    assert Tombstone.objects.values_list("source", "key", "version").get() == ("product", "A", 3)
    deleted = OutboxMessage.objects.get(name="inventory.product_deleted").payload
    assert decode(ProductDeleted, deleted["data"]) == ProductDeleted(sku="A", version=3)
    made = writing.cloud_event(ProductDeleted(sku="A", version=3), subject="A", epoch="")
    assert deleted.keys() == made.keys()
    product("A").save()
    assert versions() == {"A": 4, "B": 2}
    Product.objects.all().delete()
    assert dict(Tombstone.objects.values_list("key", "version")) == {"A": 5, "B": 3}
    assert [kind for kind, _, _ in announced()].count("deleted") == 3


def test_ids_of_events_are_those_of_type_key_and_version() -> None:
    product("A").save()
    with transaction.atomic():
        Product.objects.update(price=1)
        once = OutboxMessage.objects.latest("id").payload["id"]
        transaction.set_rollback(True)
    Product.objects.update(price=2)
    ids = [event["id"] for event in OutboxMessage.objects.order_by("id").values_list("payload", flat=True)]
    assert len(ids) == 2
    assert len(set(ids)) == 2
    assert ids[1] == once


def test_a_key_never_changes() -> None:
    product("A").save()
    with pytest.raises((IntegrityError, OperationalError), match="never changes"), transaction.atomic():
        Product.objects.update(sku="B")


@postgresql
def test_many_rows_are_one_statement(django_assert_num_queries: Any) -> None:
    Product.objects.bulk_create([product(f"S{n}") for n in range(500)])
    with django_assert_num_queries(1):
        Product.objects.update(price=1)
    assert len(announced()) == 1000


@postgresql
def test_a_truncated_table_is_deleted_row_by_row() -> None:
    Product.objects.bulk_create([product("A"), product("B")])
    execute("TRUNCATE inventory_product CASCADE")
    assert announced()[2:] == [("deleted", "A", 2), ("deleted", "B", 2)]


@postgresql
def test_the_same_triggers_are_not_made_again(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1), connection.cursor() as cursor:
        triggers.install(cursor, publications["product"], connection.vendor)


def test_triggers_are_made_again_when_the_contract_has_changed() -> None:
    publication = publications["product"]
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("COMMENT ON FUNCTION inventory_product_count() IS 'of another contract'")
        triggers.install(cursor, publication, connection.vendor)
    product("A").save()
    assert announced() == [("changed", "A", 1)]


@concurrent
def test_who_inserts_a_key_that_is_being_deleted_goes_on_after_its_tombstone(transactional_db: None) -> None:
    product("A").save()
    deleted, may_commit = threading.Event(), threading.Event()

    def delete() -> None:
        with transaction.atomic():
            Product.objects.all().delete()
            deleted.set()
            assert may_commit.wait(20)

    first = in_background(delete)
    assert deleted.wait(20)
    second = in_background(lambda: product("A").save(force_insert=True))
    until_waiting_for_a_lock()
    may_commit.set()
    for done in (first, second):
        done.result(20)
    assert versions() == {"A": 3}
    assert announced() == [("changed", "A", 1), ("deleted", "A", 2), ("changed", "A", 3)]


@pytest.mark.parametrize("key", ["", "\u202e", " A", "A "])
def test_a_key_that_a_false_event_brought_is_looked_for(peer: APIClient, key: str) -> None:
    """Refused, it would end each comparison of the whole copy in which it stands."""
    product("A").save()
    address = "/api/published/product/"
    asked = {"fields": ["name"], "keys": [key, "A"]}
    answer = peer.post(f"{address}rows/", asked, format="json")
    assert (answer.status_code, [row["key"] for row in answer.json()]) == (200, ["A"])
    bounds = {"fields": ["name"], "ranges": [{"after": key, "upto": key + "B"}], "size": 9, "most": 1}
    assert peer.post(f"{address}pieces/", bounds, format="json").status_code == 200
