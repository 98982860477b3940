"""Idempotency keys over HTTP: the same rules for every POST that has an effect (rule 1, the start)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db import connection
from rest_framework.test import APIClient

from celery_config.messaging.models import IdempotencyKey
from celery_config.saga.engine import runner
from celery_config.saga.models import OperatorAction, SagaInstance, SagaPause
from celery_config.web.idempotency_keys import REPLAYED
from order_project import services
from order_project.erasure import requests
from order_project.models import Customer, Erasure, Order, Refund
from tests.service.order.conftest import REPLIES, Placed, Shop
from tests.service.together import LONGEST_WAIT, concurrent, in_background, together

pytestmark = pytest.mark.django_db
WHY = {"why": "a test"}
PAUSE = {"saga": "refund-order", **WHY}


def make_client(name: str = "ada") -> APIClient:
    client = APIClient()
    user, _ = User.objects.get_or_create(username=name, is_staff=True, is_superuser=True)
    client.force_authenticate(user)
    return client


@pytest.fixture
def ada(db: None) -> APIClient:
    return make_client()


@pytest.fixture
def confirmed(placed: Placed) -> Placed:
    runner.complete_sagas({placed.saga_id: runner.ChainEnd(REPLIES)})
    return placed


def post(client: APIClient, url: str, body: Any, key: str | None = "k") -> Any:
    return client.post(
        url, body, format="json", **({} if key is None else {"headers": {"Idempotency-Key": key}})
    )


def refund(client: APIClient, order: Placed, key: str | None = "k", amount: int = 255) -> Any:
    return post(client, f"/api/orders/{order.id}/refunds/", {"amount": amount, "reason": "broken"}, key)


def told(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json().get("code")


class TestOnce:
    @pytest.mark.parametrize(
        ("url", "body", "count"),
        [
            ("orders/{confirmed}/refunds/", {"amount": 255, "reason": "broken"}, Refund.objects.count),
            ("customers/", {"name": "Bob", "reference": "7"}, Customer.objects.filter(name="Bob").count),
            ("customers/", {"name": "Bob"}, Customer.objects.filter(name="Bob").count),
            ("customers/{customer}/forget/", WHY, Erasure.objects.count),
            ("sagas/pauses/", PAUSE, SagaPause.objects.count),
            ("sagas/{running}/compensate/", WHY, OperatorAction.objects.count),
            ("sagas/{parked}/take-over/", WHY, OperatorAction.objects.count),
            ("orders/{order}/cancel/", {}, SagaInstance.objects.filter(status="stopping").count),
        ],
    )
    def test_a_repeat_gets_the_same_answer_and_does_nothing(
        self, shop: Shop, ada: APIClient, confirmed: Placed, url: str, body: Any, count: Callable[[], int]
    ) -> None:
        running, parked = shop.order(), shop.order()
        parked.set(status="parked")
        address = "/api/" + url.format(
            confirmed=confirmed.id, order=running.id, running=running.saga_id, parked=parked.saga_id,
            customer=Customer.objects.create(name="Carl").pk,
        )  # fmt: skip
        first, again = post(ada, address, body), post(ada, address, body)
        assert first.status_code in (200, 201, 202), first.content
        assert (again.status_code, again.json(), count()) == (first.status_code, first.json(), 1)
        assert (first.get(REPLAYED), again.get(REPLAYED)) == (None, "true")
        assert first.get("Location") == again.get("Location")

    def test_without_a_key_each_request_counts(self, ada: APIClient, confirmed: Placed) -> None:
        answers = [refund(ada, confirmed, None) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [202, 202]
        assert Refund.objects.count() == 2

    def test_each_client_has_keys_of_its_own(self, ada: APIClient, confirmed: Placed) -> None:
        assert {refund(client, confirmed).status_code for client in (ada, make_client("bob"))} == {202}
        assert Refund.objects.count() == 2

    def test_a_refused_request_leaves_its_key_free(self, ada: APIClient, confirmed: Placed) -> None:
        assert told(refund(ada, confirmed, amount=10_000)) == (409, "not_refundable")
        assert refund(ada, confirmed).status_code == 202

    def test_a_failure_after_the_effect_takes_both_back(
        self, ada: APIClient, confirmed: Placed, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        done = services.request_refund
        with monkeypatch.context() as failing:
            failing.setattr(services, "request_refund", lambda **given: done(**given) and 1 / 0)
            ada.raise_request_exception = False
            assert refund(ada, confirmed).status_code == 500
        assert not IdempotencyKey.objects.exists()
        assert refund(ada, confirmed).status_code == 202
        assert Refund.objects.count() == 1

    def test_another_request_is_refused(self, ada: APIClient, shop: Shop, confirmed: Placed) -> None:
        refund(ada, confirmed)
        assert told(refund(ada, confirmed, amount=1)) == (422, "idempotency_key_reused")
        assert told(refund(ada, shop.order())) == (422, "idempotency_key_reused")
        assert told(post(ada, "/api/customers/", {"name": "Bob"})) == (422, "idempotency_key_reused")
        assert told(post(ada, "/api/orders/", make_wish(shop))) == (422, "idempotency_key_reused")
        assert (Refund.objects.count(), Order.objects.count()) == (1, 2)

    def test_what_it_made_is_gone(self, ada: APIClient) -> None:
        made = post(ada, "/api/customers/", {"name": "Bob"}).json()
        ada.delete(f"/api/customers/{made['id']}/")
        assert told(post(ada, "/api/customers/", {"name": "Bob"})) == (410, "idempotency_key_gone")
        assert not Customer.objects.exists()


def make_wish(shop: Shop) -> dict[str, Any]:
    request = shop.request()
    return {
        "lines": [{"sku": request.lines[0].sku, "quantity": 1}], "currency": "EUR", "payment_token": "tok_visa",
        "address": {"name": "Ada", "line1": "1 High St", "city": "London", "postal_code": "SW1", "country": "GB"},
        "customer": str(shop.customer.pk),
    }  # fmt: skip


class TestHowItIsWritten:
    @pytest.mark.parametrize(
        ("first", "again"),
        [
            ("8e03978e", '"8e03978e"'),
            (" 8e03978e ", "8e03978e"),
            (r'"say \"hi\", \\ and go"', r'"say \"hi\", \\ and go"'),
            ("x" * 255, f'"{"x" * 255}"'),
        ],
    )
    def test_plain_as_at_stripe_or_quoted_as_in_the_draft(
        self, ada: APIClient, confirmed: Placed, first: str, again: str
    ) -> None:
        assert refund(ada, confirmed, first).json() == refund(ada, confirmed, again).json()
        assert Refund.objects.count() == 1

    @pytest.mark.parametrize(
        ("key", "says"),
        [
            ("", "is empty"),
            ("   ", "is empty"),
            ('""', "is empty"),
            ("x" * 256, "at most 255"),
            ("a,b", "twice"),  # as a server joins two headers
            ('"a","b"', "twice"),
            ('"a', "in quotes"),
            ('"a"b', "in quotes"),
            ('"a";q=1', "in quotes"),
            ("schlüssel", "ASCII"),
            ("a\tb", "ASCII"),
        ],
    )
    @pytest.mark.parametrize("url", ["/api/orders/{}/refunds/", "/api/orders/"])
    def test_what_is_no_key_is_refused(
        self, ada: APIClient, shop: Shop, confirmed: Placed, url: str, key: str, says: str
    ) -> None:
        body = {"amount": 255, "reason": "broken"} if "{}" in url else make_wish(shop)
        answer = ada.post(url.format(confirmed.id), body, format="json", HTTP_IDEMPOTENCY_KEY=key)
        assert told(answer) == (400, "invalid")
        (error,) = answer.json()["errors"]
        assert (error["field"], error["code"]) == ("Idempotency-Key", "invalid_key")
        assert says in error["detail"]
        assert (Refund.objects.count(), Order.objects.count()) == (0, 1)

    @pytest.mark.parametrize("key", ["", "x" * 256, "schlüssel", '"a'])
    def test_a_row_of_a_batch_has_the_same_rules(self, ada: APIClient, shop: Shop, key: str) -> None:
        wish = make_wish(shop)
        orders = [{**wish, "idempotency_key": each} for each in (key, "k", '"k"')]
        wrong, right, again = post(ada, "/api/orders/batch/", {"orders": orders}, None).json()["results"]
        assert (wrong["status"], [error["field"] for error in wrong["errors"]]) == (400, ["idempotency_key"])
        assert (right["order"], again["repeated"]) == (again["order"], True)

    @pytest.mark.parametrize("name", ["idempotency-key", "IDEMPOTENCY-KEY", "Idempotency-key"])
    def test_its_name_in_any_case(self, ada: APIClient, confirmed: Placed, name: str) -> None:
        url, body = f"/api/orders/{confirmed.id}/refunds/", {"amount": 255, "reason": "broken"}
        for _ in range(2):
            ada.post(url, body, format="json", headers={name: "k"})
        assert Refund.objects.count() == 1


class TestInTheWrongPlace:
    @pytest.mark.parametrize(
        ("method", "url", "says"),
        [
            ("post", "/api/orders/batch/", "give each order its `idempotency_key`"),
            ("post", "/api/token/", "takes no Idempotency-Key"),
            ("post", "/api/published/customer/rows/", "takes no Idempotency-Key"),
            ("patch", "/api/customers/{}/", "takes no Idempotency-Key"),
            ("delete", "/api/customers/{}/", "takes no Idempotency-Key"),
            ("delete", "/api/sagas/pauses/", "takes no Idempotency-Key"),
        ],
    )
    def test_the_header_is_refused_where_none_is_taken(
        self, ada: APIClient, shop: Shop, method: str, url: str, says: str
    ) -> None:
        send = getattr(ada, method)
        answer = send(url.format(shop.customer.pk), {}, format="json", headers={"Idempotency-Key": "k"})
        assert told(answer) == (400, "invalid")
        (error,) = answer.json()["errors"]
        assert error["field"] == "Idempotency-Key"
        assert says in error["detail"]
        assert Customer.objects.filter(pk=shop.customer.pk).exists()

    @pytest.mark.parametrize(
        ("url", "says"),
        [
            ("/api/orders/?idempotency_key=k", "Send the key as the header"),
            ("/api/orders/batch/?idempotency_key=k", "give each order its `idempotency_key`"),
            ("/api/token/?idempotency_key=", "takes no Idempotency-Key"),
        ],
    )
    def test_a_key_in_the_address_is_refused(self, ada: APIClient, url: str, says: str) -> None:
        answer = ada.post(url, {}, format="json")
        assert told(answer) == (400, "invalid")
        (error,) = answer.json()["errors"]
        assert says in error["detail"]

    @pytest.mark.parametrize(("method", "url"), [("put", "/api/orders/"), ("trace", "/api/customers/")])
    def test_a_method_that_an_address_does_not_have_is_405_with_a_key_too(
        self, ada: APIClient, method: str, url: str
    ) -> None:
        answer = getattr(ada, method)(url, headers={"Idempotency-Key": "k"})
        assert told(answer) == (405, "method_not_allowed")
        assert "POST" in answer["Allow"]

    @pytest.mark.parametrize(
        ("url", "says"),
        [
            ("/api/orders/", "as the header"),
            ("/api/orders/batch/", "give each order its"),
            ("/api/customers/", "as the header"),
            ("/api/sagas/pauses/", "as the header"),
        ],
    )
    def test_the_field_is_refused_where_the_header_is_taken(
        self, ada: APIClient, url: str, says: str
    ) -> None:
        errors = post(ada, url, {"idempotency_key": "k"}, None).json()["errors"]
        (error,) = [each for each in errors if each["field"] == "idempotency_key"]
        assert says in error["detail"]

    def test_reading_and_what_services_ask_each_other_do_not_mind(
        self, ada: APIClient, peer: APIClient
    ) -> None:
        assert ada.get("/api/orders/", headers={"Idempotency-Key": "k"}).status_code == 200
        asked = peer.post(
            "/api/sagas/ended/", {"sagas": [str(uuid4())]}, format="json", headers={"Idempotency-Key": "k"}
        )
        assert asked.status_code == 200


class TestAskingWhatAKeyMade:
    def test_ones_own_only(self, ada: APIClient, shop: Shop, confirmed: Placed) -> None:
        made = {
            "orders/": post(ada, "/api/orders/", make_wish(shop), "an order").json()["order"],
            f"orders/{confirmed.id}/refunds/": refund(ada, confirmed, "a refund").json()["id"],
            "customers/": post(ada, "/api/customers/", {"name": "Bob"}, "a customer").json()["id"],
        }
        for key, url in zip(("an order", "a refund", "a customer"), made, strict=True):
            (found,) = ada.get(f"/api/{url}", {"idempotency_key": key}).json()["results"]
            assert found["id"] == made[url]
            assert make_client("bob").get(f"/api/{url}", {"idempotency_key": key}).json()["results"] == []
            for other in {"an order", "a refund", "a customer", "unknown"} - {key}:
                assert ada.get(f"/api/{url}", {"idempotency_key": other}).json()["results"] == []

    @pytest.mark.parametrize("key", ["", "x" * 256, "\0"])
    def test_what_is_no_key(self, ada: APIClient, key: str) -> None:
        answer = ada.get("/api/orders/", {"idempotency_key": key})
        assert told(answer) == (400, "invalid")
        assert answer.json()["errors"][0]["field"] == "idempotency_key"

    def test_the_key_of_something_else_than_a_row(self, ada: APIClient, shop: Shop) -> None:
        order = shop.order()
        assert post(ada, f"/api/orders/{order.id}/cancel/", {}).status_code == 202
        assert ada.get("/api/orders/", {"idempotency_key": "k"}).json()["results"] == []


class TestWhatIsStored:
    def test_neither_key_nor_contents(self, ada: APIClient, shop: Shop, confirmed: Placed) -> None:
        key = "ada@example.com"
        post(ada, "/api/orders/", make_wish(shop), f"{key} 1")
        refund(ada, confirmed, f"{key} 2")
        post(ada, "/api/customers/", {"name": "Bob"}, f"{key} 3")
        stored = str(list(IdempotencyKey.objects.values()))
        assert IdempotencyKey.objects.count() == 3
        assert not [word for word in (key, "tok_visa", "High St", "broken", "Bob") if word in stored]

    def test_an_erasure_leaves_nothing_that_leads_to_a_person_and_no_second_refund(
        self, ada: APIClient, confirmed: Placed
    ) -> None:
        body = {"name": "Bob"}
        bob = post(ada, "/api/customers/", body, "his").json()["id"]
        made = Refund.objects.get(pk=refund(ada, confirmed).json()["id"])
        reply = {"refund": str(made.pk), "refunded_amount": made.amount}
        runner.complete_sagas({made.saga: runner.ChainEnd({"refund-payment": reply})})
        for customer in (bob, confirmed.order.customer_id):
            requests.request_erasure(customer=customer, by="operator", why="a letter")
        kept = ("request_hash", "made", "subject")
        assert list(IdempotencyKey.objects.values_list(*kept)) == [("", "", None)] * 2
        assert told(refund(ada, confirmed)) == (410, "idempotency_key_gone")
        assert told(post(ada, "/api/customers/", body, "his")) == (410, "idempotency_key_gone")
        assert (Refund.objects.count(), Customer.objects.count()) == (1, 0)


@concurrent
class TestAtOnce:
    @pytest.fixture
    def order(self, shop: Shop) -> Placed:
        order = shop.order()
        runner.complete_sagas({order.saga_id: runner.ChainEnd(REPLIES)})
        return order

    def test_many_are_one_refund(self, order: Placed) -> None:
        clients = [make_client() for _ in range(6)]
        answers = together(*[lambda client=client: refund(client, order) for client in clients])
        assert [answer.status_code for answer in answers] == [202] * 6
        assert len({answer.json()["id"] for answer in answers}) == 1
        assert sorted(answer.get(REPLAYED, "") for answer in answers) == [""] + ["true"] * 5
        assert Refund.objects.count() == SagaInstance.objects.filter(name="refund-order").count() == 1

    def test_two_different_requests_are_one(self, order: Placed) -> None:
        clients = [make_client(), make_client()]
        answers = together(
            *[
                lambda client=client, n=n: refund(client, order, amount=n)
                for n, client in enumerate(clients, 1)
            ]
        )
        assert sorted(map(told, answers), key=str) == [(202, None), (422, "idempotency_key_reused")]
        assert Refund.objects.count() == 1

    def test_one_that_waits_too_long_is_told_so(self, order: Placed, monkeypatch: pytest.MonkeyPatch) -> None:
        begun, done = threading.Event(), threading.Event()
        request_refund = services.request_refund

        def take_time(**given: Any) -> Refund:
            begun.set()
            done.wait(LONGEST_WAIT)
            return request_refund(**given)

        monkeypatch.setattr(services, "request_refund", take_time)
        twins = [make_client(), make_client()]
        first = in_background(lambda: refund(twins[0], order))
        begun.wait(LONGEST_WAIT)
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = 100")
        second = refund(twins[1], order)
        done.set()
        assert told(second) == (409, "idempotency_key_in_flight")
        assert second.headers["Retry-After"] == "1"
        assert first.result(LONGEST_WAIT).status_code == 202
        connection.close()
        assert Refund.objects.count() == 1
