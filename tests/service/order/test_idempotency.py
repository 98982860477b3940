"""A client's idempotency key (rule 1, the start): unique per client, with a hash of the request; it goes first."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from celery_config.contracts.values import Address
from celery_config.messaging.idempotency import digest_key
from celery_config.messaging.models import IdempotencyKey
from celery_config.saga.models import SagaInstance
from celery_config.web.idempotency_keys import KeyInFlight, KeyReused
from order_project.domain import Flow, RequestLine
from order_project.errors import BadLines
from order_project.idempotency import hash_request
from order_project.models import Order
from order_project.placing import place_orders
from order_project.requests import OrderSubmission, Placed
from tests.service.order.conftest import ADDRESS, HEART, Shop
from tests.service.together import LONGEST_WAIT, concurrent, in_background, together

pytestmark = pytest.mark.django_db


def test_a_repeat_is_answered_with_the_first_order(shop: Shop) -> None:
    first, again = shop.place("key-1"), shop.place("key-1")
    assert (again.order, first.repeated, again.repeated) == (first.order, False, True)
    assert Order.objects.count() == SagaInstance.objects.count() == 1


def test_without_a_key_every_request_is_an_order(shop: Shop) -> None:
    assert shop.place().order != shop.place().order


@pytest.mark.parametrize(
    "other", [{"payment_token": "tok_other"}, {"lines": (RequestLine(sku=HEART, quantity=8),)}]
)
def test_the_same_key_for_another_request_is_refused(shop: Shop, other: dict[str, Any]) -> None:
    shop.place("key-1")
    with pytest.raises(KeyReused):
        shop.place("key-1", **other)
    assert Order.objects.count() == 1


def test_keys_of_two_clients_are_two_keys(shop: Shop) -> None:
    assert shop.place("key-1", "ada").order != shop.place("key-1", "bob").order


def test_a_refused_request_leaves_its_key_free(shop: Shop) -> None:
    """Rule 1: key and order are one transaction."""
    with pytest.raises(BadLines):
        shop.place("key-1", currency="USD")
    assert not IdempotencyKey.objects.exists()
    assert not shop.place("key-1").repeated


def test_a_key_outlives_the_release_that_knew_no_agreed_prices(shop: Shop) -> None:
    request = replace(shop.request(), customer=UUID(int=1))
    first_release = "51da90cdc7540004afce08b725a824f53fcf9096c6a91a63fc0118d0cd79b8e7"
    assert hash_request(request) == first_release
    agreed = (RequestLine(sku=HEART, quantity=7, unit_price=255),)
    assert hash_request(replace(request, lines=agreed)) != first_release


def test_a_key_outlives_the_release_that_knew_fewer_parts_of_an_address(shop: Shop) -> None:
    request = replace(shop.request(), customer=UUID(int=1))
    first_release = hash_request(request)
    assert first_release == "51da90cdc7540004afce08b725a824f53fcf9096c6a91a63fc0118d0cd79b8e7"
    for more in ({"line2": "Flat 3"}, {"region": "CO"}):
        assert hash_request(replace(request, address=replace(ADDRESS, **more))) != first_release


@concurrent
class TestTwins:
    def test_many_at_once_are_one_order(self, shop: Shop) -> None:
        """Rule 1: a twin waits for the first one's commit."""
        for n in range(5):
            placed: list[Placed] = together(*[lambda n=n: shop.place(f"key-{n}")] * 6)
            assert len({p.order for p in placed}) == 1
            assert sorted(p.repeated for p in placed) == [False] + [True] * 5
        assert Order.objects.count() == SagaInstance.objects.count() == 5

    def test_two_different_requests_at_once(self, shop: Shop) -> None:
        results = together(lambda: shop.place("key"), lambda: shop.place("key", payment_token="tok_other"))
        assert sorted(type(r).__name__ for r in results) == ["KeyReused", "Placed"]
        assert Order.objects.count() == 1

    def test_one_that_waits_too_long_is_told_so(self, shop: Shop) -> None:
        held, done = threading.Event(), threading.Event()

        def hold() -> None:
            with transaction.atomic():
                IdempotencyKey.objects.create(digest=digest_key("ada", "key"), status=202)
                held.set()
                done.wait(LONGEST_WAIT)

        first = in_background(hold)
        held.wait(LONGEST_WAIT)
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = 100")
        with pytest.raises(KeyInFlight):
            shop.place("key")
        done.set()
        first.result(LONGEST_WAIT)
        connection.close()
        assert not Order.objects.exists()

    def test_two_batches_with_keys_in_common_neither_wait_in_a_circle_nor_order_twice(
        self, shop: Shop
    ) -> None:
        for n in range(5):
            keys = [f"{letter}-{n}" for letter in "abcdef"]
            forth = [OrderSubmission(shop.request(), key) for key in [*keys[:4], ""]]
            back = [OrderSubmission(shop.request(), key) for key in [*reversed(keys[2:]), ""]]
            here, there = together(
                *(lambda some=some: place_orders(client="ada", submissions=some) for some in (forth, back))
            )
            both = {outcome.order for outcome in here} & {outcome.order for outcome in there}
            assert len(both) == 2
            assert Order.objects.count() == SagaInstance.objects.count() == (n + 1) * 8


class TestReferences:
    """An invoice number of another system: its order keeps it, while the key under which it came is forgotten."""

    @pytest.fixture
    def invoice(self, shop: Shop) -> UUID:
        """An order of long ago, whose key is forgotten."""
        order = shop.place("invoice 1", "import", reference="1").order
        IdempotencyKey.objects.all().delete()
        return order

    def test_an_address_of_the_release_before_is_the_same(self, shop: Shop, invoice: UUID) -> None:
        """It was stored without the parts that came later, and so is one today that does not need them."""
        kept = {"name": "Ada", "line1": "1 High St", "city": "London", "postal_code": "SW1", "country": "GB"}
        assert Order.objects.get().address == kept
        again = self.submit(shop, ("", {"reference": "1", "address": Address(**kept, line2="", region="")}))
        assert again == [Placed(invoice, repeated=True)]

    @staticmethod
    def submit(shop: Shop, *asked: tuple[str, dict[str, Any]]) -> list[Any]:
        wanted = [OrderSubmission(shop.request(**more), key) for key, more in asked]
        return place_orders(client="import", submissions=wanted)

    def test_a_repeat_is_answered_with_its_order_and_the_others_are_placed(
        self, shop: Shop, invoice: UUID
    ) -> None:
        again, new = self.submit(shop, ("invoice 1", {"reference": "1"}), ("invoice 2", {"reference": "2"}))
        assert again == Placed(invoice, repeated=True)
        assert not new.repeated
        assert Order.objects.count() == SagaInstance.objects.count() == 2

    @pytest.mark.parametrize(
        "other",
        [
            {"lines": (RequestLine(sku=HEART, quantity=8),)},
            {"lines": (RequestLine(sku=HEART, quantity=7, unit_price=199),)},
            {"flow": Flow.CHOREOGRAPHED},
        ],
    )
    def test_with_other_contents_it_is_refused(
        self, shop: Shop, invoice: UUID, other: dict[str, Any]
    ) -> None:
        refused, new = self.submit(
            shop, ("invoice 1", {"reference": "1", **other}), ("invoice 2", {"reference": "2"})
        )
        assert (type(refused), type(new)) == (KeyReused, Placed)
        assert Order.objects.count() == 2

    def test_with_the_same_agreed_prices_in_another_order(self, shop: Shop) -> None:
        lines = tuple(
            RequestLine(sku=HEART, quantity=q, unit_price=price) for q, price in ((1, 199), (2, 255))
        )
        first = shop.place("a", reference="1", lines=lines)
        again = shop.place("b", reference="1", lines=lines[::-1])
        assert again == Placed(first.order, repeated=True)

    def test_of_an_erased_customer(self, shop: Shop, invoice: UUID) -> None:
        """Who it was and where it went is not known any more; what it was is."""
        Order.objects.update(customer=None, address={})
        (again,) = self.submit(shop, ("invoice 1", {"reference": "1"}))
        assert again == Placed(invoice, repeated=True)

    def test_of_an_erased_customer_while_its_key_is_kept(self, shop: Shop) -> None:
        order = shop.place("invoice 1", "import", reference="1").order
        IdempotencyKey.objects.update(request_hash="", made="", subject=None)
        Order.objects.update(customer=None, address={})
        assert self.submit(shop, ("invoice 1", {"reference": "1"})) == [Placed(order, repeated=True)]

    def test_under_two_keys_in_one_batch_it_is_one_order(self, shop: Shop) -> None:
        first, again, other = self.submit(
            shop,
            ("a", {"reference": "1"}),
            ("b", {"reference": "1"}),
            ("c", {"reference": "1", "lines": (RequestLine(sku=HEART, quantity=8),)}),
        )
        assert again == Placed(first.order, repeated=True)
        assert isinstance(other, KeyReused)
        assert Order.objects.count() == 1

    @concurrent
    def test_at_once(self, shop: Shop) -> None:
        placed = together(*[lambda n=n: shop.place(f"key-{n}", reference="1") for n in range(4)])
        assert len({each.order for each in placed}) == 1
        assert Order.objects.count() == 1


class TestManyInOneTransaction:
    @staticmethod
    def ask(shop: Shop, *asked: tuple[str, dict[str, Any]]) -> list[Any]:
        wanted = [OrderSubmission(shop.request(**more), key) for key, more in asked]
        return place_orders(client="ada", submissions=wanted)

    def test_each_has_an_outcome_of_its_own(self, shop: Shop) -> None:
        earlier = shop.place("old").order
        outcomes = self.ask(
            shop,
            ("a", {}),
            ("old", {}),
            ("b", {"currency": "USD"}),
            ("old", {"payment_token": "tok_other"}),
            ("", {}),
            ("c", {"lines": (RequestLine(sku=HEART, quantity=8),)}),
        )
        assert [type(outcome) for outcome in outcomes] == [
            Placed,
            Placed,
            BadLines,
            KeyReused,
            Placed,
            Placed,
        ]
        assert outcomes[1] == Placed(earlier, repeated=True)
        assert Order.objects.count() == SagaInstance.objects.count() == 4
        kept = set(IdempotencyKey.objects.values_list("digest", flat=True))
        assert kept == {digest_key("ada", key) for key in ("old", "a", "c")}

    def test_twins_in_one_batch_are_one_order(self, shop: Shop) -> None:
        first, again, other = self.ask(shop, ("a", {}), ("a", {}), ("a", {"payment_token": "tok_other"}))
        assert (again, type(other)) == (Placed(first.order, repeated=True), KeyReused)
        assert Order.objects.count() == 1

    def test_a_twin_of_a_refused_one_is_refused(self, shop: Shop) -> None:
        outcomes = self.ask(shop, ("a", {"currency": "USD"}), ("a", {"currency": "USD"}))
        assert [type(outcome) for outcome in outcomes] == [BadLines, BadLines]
        assert not IdempotencyKey.objects.exists()

    def test_they_cost_as_many_statements_as_one(self, shop: Shop) -> None:
        with CaptureQueriesContext(connection) as one:
            self.ask(shop, ("a", {}))
        with CaptureQueriesContext(connection) as many:
            self.ask(shop, *((f"key-{n}", {}) for n in range(20)))
        assert len(many) == len(one)
