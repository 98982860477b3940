"""A source whose database was set back: readers begin again by themselves, and clients wait until it is recovered."""

from __future__ import annotations

import time
from typing import Any

import pytest
from rest_framework.test import APIClient

from celery_config.copies.models import Tombstone
from celery_config.messaging import epochs
from celery_config.messaging.feed import sign_cursor
from celery_config.messaging.models import Epoch, OutboxMessage
from inventory_app.models import Product
from tests.service.together import postgresql

pytestmark = [pytest.mark.django_db(transaction=True), postgresql]
ELSEWHERE = 900_000_000_000  # a transaction of another cluster
PATIENCE = 60.0


def product(sku: str, **fields: Any) -> Product:
    return Product.objects.create(
        sku=sku, **({"name": sku, "price": 1, "currency": "EUR", "weight_grams": 1} | fields)
    )


def read(peer: APIClient, path: str, after: str = "") -> dict[str, Any]:
    answer = peer.get(path, {"after": after})
    assert answer.status_code == 200, answer.content
    found: dict[str, Any] = answer.json()
    return found


def changes(peer: APIClient, after: str = "", *, count: int = 0) -> dict[str, Any]:
    """The changes after a cursor; a transaction of another database on the server holds them back, too."""
    end = time.monotonic() + PATIENCE
    while len((found := read(peer, "/api/published/product/changes/", after))["changes"]) < count:
        assert time.monotonic() < end, found
        time.sleep(0.02)
    return found


def restore_elsewhere() -> None:
    """Leave what `pg_restore` into a new cluster leaves: rows of transactions that this cluster has not reached."""
    OutboxMessage.objects.update(transaction=ELSEWHERE)


def keys(found: dict[str, Any]) -> list[str]:
    return [each["key"] for each in found["changes"]]


class TestAnotherCluster:
    def test_readers_hear_of_changes_after_the_restore(self, peer: APIClient) -> None:
        product("A")
        token = changes(peer, count=1)["epoch"]
        restore_elsewhere()
        cursor = sign_cursor(f"{ELSEWHERE}-{OutboxMessage.objects.get().pk}-{token}")
        Product.objects.update(price=2)
        product("B")
        found = changes(peer, cursor, count=3)
        assert keys(found) == ["A", "A", "B"]
        assert found["epoch"] != token
        assert changes(peer, found["cursor"])["changes"] == []

    def test_an_older_readers_cursor_begins_again_too(self, peer: APIClient) -> None:
        product("A")
        restore_elsewhere()
        assert keys(changes(peer, f"{ELSEWHERE}-1", count=1)) == ["A"]

    def test_what_was_announced_before_is_still_served(self, peer: APIClient) -> None:
        product("A")
        restore_elsewhere()
        served = read(peer, "/api/events/")
        assert [event["event"]["data"]["sku"] for event in served["events"]] == ["A"]

    def test_the_servers_identity_alone_shows_it(self, peer: APIClient) -> None:
        product("A")
        before = changes(peer, count=1)
        Epoch.objects.update(server="1/1")
        found = changes(peer, before["cursor"], count=1)
        assert (keys(found), found["recovering"]) == (["A"], True)

    def test_another_timeline_begins_again_and_lets_clients_in(self, peer: APIClient) -> None:
        """A standby that took over may lack what was written last; clients cannot wait for a human then."""
        product("A")
        before = changes(peer, count=1)
        Epoch.objects.update(server=f"{epochs.look().cluster}/999")
        found = changes(peer, before["cursor"], count=1)
        assert (keys(found), found["recovering"]) == (["A"], False)


class TestTheSameClusterSetBack:
    def test_a_cursor_ahead_of_it_shows_it(self, peer: APIClient) -> None:
        product("A")
        token = changes(peer, count=1)["epoch"]
        found = changes(peer, sign_cursor(f"{ELSEWHERE}-7-{token}"))
        assert (keys(found), found["recovering"]) == (["A"], True)

    @pytest.mark.parametrize("code", ["", "-0000000000000000", "of another place"])
    @pytest.mark.parametrize("path", ["/api/published/product/changes/", "/api/events/"])
    def test_a_cursor_that_a_reader_makes_up_shows_nothing(
        self, peer: APIClient, path: str, code: str
    ) -> None:
        """Who may only read would otherwise stop all that clients ask for, until an operator recovers."""
        product("A")
        token = changes(peer, count=1)["epoch"]
        signed = sign_cursor(f"1-7-{token}")
        cursor = f"{ELSEWHERE}-7-{token}{signed[-17:] if code == 'of another place' else code}"
        found = read(peer, path, cursor)
        assert found["epoch"] == token
        assert len(found.get("changes", found.get("events"))) == 1
        assert not epochs.is_recovering()

    def test_a_cursor_of_nobodys_epoch_shows_nothing(self, peer: APIClient) -> None:
        product("A")
        token = changes(peer, count=1)["epoch"]
        found = changes(peer, f"{ELSEWHERE}-7-00000000")
        assert (keys(found), found["recovering"], found["epoch"]) == (["A"], False, token)

    def test_a_version_that_is_made_again_is_another_event(self) -> None:
        first, second = make_first_version(1), make_first_version(2)
        assert first["data"]["version"] == second["data"]["version"] == 1
        assert first["epoch"] != second["epoch"]
        assert first["id"] != second["id"]


def make_first_version(price: int) -> dict[str, Any]:
    """Announce a product as if none had been there before, in a new epoch."""
    Product.objects.all().delete()
    Tombstone.objects.all().delete()
    epochs.begin("restored")
    product("A", price=price)
    payload: dict[str, Any] = OutboxMessage.objects.latest("id").payload
    return payload


def test_clients_are_refused_until_recover_is_done(peer: APIClient) -> None:
    body = {"products": [{"sku": "A", "name": "A", "price": 1, "currency": "EUR", "weight_grams": 1}]}
    epochs.begin("restored: a test")
    refused = peer.post("/api/products/", body, format="json")
    assert (refused.status_code, refused.json()["code"]) == (503, "recovering")
    assert "a test" in refused.json()["detail"]
    assert peer.get("/api/products/").status_code == 200
    epochs.end_recovery()
    assert peer.post("/api/products/", body, format="json").status_code == 200
