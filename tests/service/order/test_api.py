"""The order service's HTTP API: who may do what, what is answered, and how errors look."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from celery_config.contracts.base import encode
from celery_config.contracts.payment import MAX_AMOUNT
from celery_config.saga.engine import runner
from celery_config.saga.models import OperatorAction, SagaInstance
from order_project.domain import Flow, ShownStatus, describe_shown_status
from order_project.models import Choreography, Customer, Order
from tests.service.order.conftest import ADDRESS, HEART, REPLIES, Placed, Shop
from tests.service.peer import Peer

pytestmark = pytest.mark.django_db
ORDERS = "/api/orders/"
WISH: dict[str, Any] = {
    "lines": [{"sku": HEART, "quantity": 7}],
    "currency": "EUR",
    "payment_token": "tok_visa",
    "address": encode(ADDRESS),
}

HONG_KONG = {
    "name": "Ada",
    "line1": "1 Harbour Road",
    "city": "Hong Kong",
    "postal_code": "",
    "country": "HK",
}


def client_of(user: User) -> APIClient:
    client = APIClient()
    client.force_authenticate(user)
    return client


@pytest.fixture
def ada(shop: Shop) -> APIClient:
    return client_of(User.objects.create_user("ada", "ada@example.com"))


@pytest.fixture
def bob(shop: Shop) -> APIClient:
    return client_of(User.objects.create_user("bob"))


@pytest.fixture
def admin(shop: Shop) -> APIClient:
    return client_of(User.objects.create_superuser("root"))


@pytest.fixture
def staff(shop: Shop) -> APIClient:
    """Another service, the audit or the importer."""
    return Peer()


def post(client: APIClient, key: str = "", **more: Any) -> Any:
    return client.post(ORDERS, WISH | more, format="json", **({"HTTP_IDEMPOTENCY_KEY": key} if key else {}))


class TestPlacing:
    def test_it_is_accepted_and_says_where_to_look(self, ada: APIClient) -> None:
        answer = post(ada)
        assert answer.status_code == 202
        assert answer.headers["Location"] == answer.json()["url"] == f"/api/orders/{answer.json()['order']}/"
        assert answer.json()["status"] == "placed"
        assert ada.get(answer.json()["url"]).json()["total"] == 1785

    @pytest.mark.parametrize("parts", [{}, {"line2": "Flat 3", "region": "Kowloon"}])
    def test_an_address_has_the_parts_of_its_country(self, ada: APIClient, parts: dict[str, str]) -> None:
        """Hong Kong has no postal codes."""
        assert post(ada, address={**HONG_KONG, "line2": "", **parts}).status_code == 202
        assert Order.objects.get().address == {**HONG_KONG, **parts}
        assert SagaInstance.objects.get().data["address"] == {**HONG_KONG, **parts}

    def test_a_part_may_be_left_out_where_the_country_has_none(self, ada: APIClient) -> None:
        given = {"name": "Ada", "line1": "1 Orchard Road", "postal_code": "238801", "country": "SG"}
        assert post(ada, address=given).status_code == 202
        assert Order.objects.get().address == {**given, "city": ""}

    def test_without_the_last_slash_it_is_placed_too(self, ada: APIClient) -> None:
        answer = ada.post(ORDERS.removesuffix("/"), WISH, format="json")
        assert (answer.status_code, Order.objects.count()) == (202, 1)

    def test_a_repeat_with_its_key_is_the_same_order(self, ada: APIClient, bob: APIClient) -> None:
        """Rule 1."""
        answers = [post(ada, "k") for _ in range(2)]
        first, again = (answer.json() for answer in answers)
        assert [answer.get("Idempotent-Replayed") for answer in answers] == [None, "true"]
        assert (first["order"], first["repeated"], again["repeated"]) == (again["order"], False, True)
        assert post(bob, "k").json()["order"] != first["order"]

    def test_its_key_for_another_request_is_refused(self, ada: APIClient) -> None:
        """Rule 1."""
        post(ada, "k")
        answer = post(ada, "k", payment_token="tok_other")
        assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")

    def test_a_wrong_part_of_an_address_is_one_error(self, ada: APIClient) -> None:
        for part in ("line1", "country"):
            for wrong in ("\0", "\ud83d", "\u202e"):
                body = json.dumps(WISH | {"address": WISH["address"] | {part: wrong}})
                answer = ada.post("/api/orders/", body, content_type="application/json").json()
                assert [(each["field"], each["code"]) for each in answer["errors"]] == [
                    (f"address.{part}", "unprintable")
                ]

    @pytest.mark.parametrize(
        ("wrong", "field"),
        [
            ({"lines": []}, "lines"),
            ({"lines": [{"sku": HEART, "quantity": 0}]}, "lines.0.quantity"),
            ({"lines": [{"sku": HEART}]}, "lines.0.quantity"),
            ({"lines": [{"sku": HEART, "quantity": 1, "unit_price": -1}]}, "lines.0.unit_price"),
            ({"lines": [{"sku": HEART, "quantity": 1, "unit_price": None}]}, "lines.0.unit_price"),
            ({"currency": "euro"}, "currency"),
            ({"currency": "ZZZ"}, "currency"),
            ({"payment_token": None}, "payment_token"),
            ({"payment_token": "tok_approved\ntok_approved"}, "payment_token"),
            ({"payment_token": "tok\x85approved"}, "payment_token"),
            ({"payment_token": "tok approved"}, "payment_token"),
            ({"payment_token": "tok_é"}, "payment_token"),
            ({"address": {**WISH["address"], "country": "Britain"}}, "address.country"),
            ({"address": {**WISH["address"], "country": "ZZ"}}, "address.country"),
            ({"address": {**WISH["address"], "country": "H\u212a"}}, "address.country"),
            ({"address": {**WISH["address"], "state": "NY"}}, "address.state"),
            ({"address": {**WISH["address"], "phone": "1"}}, "address.phone"),
            ({"address": {**WISH["address"], "postal_code": ""}}, "address.postal_code"),
            ({"address": {**WISH["address"], "country": "US"}}, "address.region"),
            ({"address": {**HONG_KONG, "city": "", "region": " "}}, "address.region"),
            ({"address": {**HONG_KONG, "line2": "x" * 201}}, "address.line2"),
            ({"lines": [{"sku": HEART, "quantity": 1, "colour": "red"}]}, "lines.0.colour"),
            ({"coupon": "SPRING"}, "coupon"),
            ({"idempotency_key": "k"}, "idempotency_key"),
            ({"x" * 500: 1}, "x" * 100),
        ],
    )
    def test_invalid_input_names_the_field(self, ada: APIClient, wrong: dict[str, Any], field: str) -> None:
        answer = post(ada, **wrong)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert field in {error["field"] for error in answer.json()["errors"]}
        assert not Order.objects.exists()

    def test_an_unknown_field_with_half_a_surrogate_pair_is_named(self, ada: APIClient) -> None:
        answer = ada.post(ORDERS, json.dumps({"\ud83d": 1}), content_type="application/json")
        assert r"\ud83d" in [error["field"] for error in answer.json()["errors"]]

    def test_an_unknown_field_is_named_beside_the_other_errors(self, ada: APIClient) -> None:
        errors = post(ada, currency="euro", coupon="SPRING", idempotency_key="k").json()["errors"]
        assert {(e["field"], e["code"], e["detail"]) for e in errors if e["field"] != "currency"} == {
            ("coupon", "unknown_field", "This field is unknown here."),
            ("idempotency_key", "unknown_field", "Send the key as the header Idempotency-Key."),
        }
        assert len(errors) == 3

    def test_what_cannot_be_ordered_has_a_stable_code(self, ada: APIClient) -> None:
        answer = post(ada, lines=[{"sku": "no-such", "quantity": 1}])
        assert (answer.status_code, answer.json()["code"]) == (422, "unknown_sku")
        assert set(answer.json()) >= {"type", "title", "status", "detail"}

    def test_staff_order_for_any_customer(self, staff: APIClient, shop: Shop) -> None:
        order = post(staff, customer=str(shop.customer.pk)).json()["order"]
        assert Order.objects.get(pk=order).customer == shop.customer

    def test_others_order_for_themselves_only(self, ada: APIClient, shop: Shop) -> None:
        for someone in (shop.customer.pk, uuid4()):
            answer = post(ada, customer=str(someone))
            assert (answer.status_code, answer.json()["code"]) == (403, "not_yourself")
        assert not Order.objects.exists()
        first = Order.objects.get(pk=post(ada).json()["order"])
        assert first.customer == Customer.objects.get(user__username="ada")
        again = Order.objects.get(pk=post(ada, customer=str(first.customer_id)).json()["order"])
        assert again.customer == first.customer

    def test_staff_agree_on_a_price_and_the_order_shows_it(self, staff: APIClient, shop: Shop) -> None:
        line = {"sku": HEART, "quantity": 7, "unit_price": 200}
        answer = post(staff, customer=str(shop.customer.pk), lines=[line])
        (shown,) = staff.get(answer.json()["url"]).json()["lines"]
        assert (shown["unit_price"], shown["price_source"]) == (200, "agreed")

    @pytest.mark.parametrize("price", [0, 200, 255])
    def test_others_give_no_price(self, ada: APIClient, price: int) -> None:
        wish = WISH | {"lines": [{"sku": HEART, "quantity": 7, "unit_price": price}]}
        answer = ada.post(ORDERS, wish, format="json")
        assert (answer.status_code, answer.json()["code"]) == (403, "price_not_yours")
        (result,) = ada.post(f"{ORDERS}batch/", {"orders": [wish]}, format="json").json()["results"]
        assert (result["status"], result["code"]) == (403, "price_not_yours")
        assert not Order.objects.exists()

    def test_a_refused_order_makes_nobody_a_customer(self, ada: APIClient) -> None:
        assert post(ada, lines=[{"sku": "no-such", "quantity": 1}]).status_code == 422
        assert not Customer.objects.filter(user__username="ada").exists()

    @pytest.mark.parametrize("customer", [{}, {"customer": str(uuid4())}])
    def test_staff_without_a_known_customer(self, staff: APIClient, customer: dict[str, str]) -> None:
        answer = post(staff, **customer)
        assert (answer.status_code, answer.json()["code"]) == (422, "unknown_customer")


class TestPlacingMany:
    @staticmethod
    def post(client: APIClient, *orders: Any) -> Any:
        return client.post(f"{ORDERS}batch/", {"orders": orders}, format="json")

    def test_each_order_has_a_result_of_its_own(self, ada: APIClient, shop: Shop) -> None:
        answer = self.post(
            ada,
            WISH | {"idempotency_key": "a"},
            WISH | {"idempotency_key": "a"},
            WISH | {"idempotency_key": "a", "payment_token": "tok_other"},
            WISH | {"lines": [{"sku": "no-such", "quantity": 1}]},
            WISH | {"lines": []},
            WISH | {"customer": str(shop.customer.pk)},
            WISH | {"idempotency_key": "x" * 256},
        )
        assert answer.status_code == 200
        results = answer.json()["results"]
        assert [r["status"] for r in results] == [202, 202, 422, 422, 400, 403, 400]
        assert [r.get("code") for r in results[2:]] == [
            "idempotency_key_reused", "unknown_sku", "invalid", "not_yourself", "invalid",
        ]  # fmt: skip
        assert (results[0]["order"], results[1]["repeated"]) == (results[1]["order"], True)
        assert Order.objects.get().pk == UUID(results[0]["order"])
        assert ada.get(results[0]["url"]).json()["total"] == 1785

    @pytest.mark.parametrize("wrong", ["no order", None, 7, [], {}])
    def test_what_is_no_order_spoils_no_other(self, ada: APIClient, wrong: Any) -> None:
        results = self.post(ada, wrong, WISH).json()["results"]
        assert [(r["status"], r.get("code")) for r in results] == [(400, "invalid"), (202, None)]

    def test_it_costs_the_same_however_many(
        self, staff: APIClient, shop: Shop, django_assert_num_queries: Any
    ) -> None:
        wish = WISH | {"customer": str(shop.customer.pk)}
        with CaptureQueriesContext(connection) as one:
            self.post(staff, wish)
        with django_assert_num_queries(len(one)):
            assert {r["status"] for r in self.post(staff, *[wish] * 30).json()["results"]} == {202}

    def test_an_unknown_field_refuses_its_order_alone(self, ada: APIClient) -> None:
        strange = WISH | {"address": {**WISH["address"], "state": "NY"}}
        results = self.post(ada, strange, WISH).json()["results"]
        assert [r["status"] for r in results] == [400, 202]
        assert [error["field"] for error in results[0]["errors"]] == ["address.state"]

    def test_a_key_in_the_header_is_refused(self, ada: APIClient) -> None:
        answer = ada.post(
            f"{ORDERS}batch/", {"orders": [WISH]}, format="json", headers={"Idempotency-Key": "retry-1"}
        )
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "Idempotency-Key")
        assert "give each order its `idempotency_key`" in answer.json()["detail"]
        assert not Order.objects.exists()

    def test_all_refused_makes_nobody_a_customer(self, ada: APIClient) -> None:
        self.post(ada, WISH | {"lines": [{"sku": "no-such", "quantity": 1}]})
        assert not Customer.objects.filter(user__username="ada").exists()

    @pytest.mark.parametrize("orders", [[], [WISH] * 101])
    def test_what_is_no_list_of_orders(self, ada: APIClient, orders: list[Any]) -> None:
        answer = self.post(ada, *orders)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
        assert not Order.objects.exists()


class TestWhoMayDoWhat:
    @pytest.mark.parametrize("method", ["get", "post"])
    def test_a_stranger_may_do_nothing(self, shop: Shop, method: str) -> None:
        assert getattr(APIClient(), method)(ORDERS).status_code == 401

    def test_a_wrong_service_token(self, shop: Shop) -> None:
        answer = APIClient().get(ORDERS, HTTP_AUTHORIZATION="Bearer wrong")
        assert (answer.status_code, answer.json()["code"]) == (401, "invalid_service_token")

    def test_everybody_sees_their_own_orders_and_staff_all(
        self, ada: APIClient, bob: APIClient, staff: APIClient
    ) -> None:
        url = post(ada).json()["url"]
        assert bob.get(url).status_code == 404
        assert bob.post(f"{url}cancel/").status_code == 404
        assert [len(c.get(ORDERS).json()["results"]) for c in (ada, bob, staff)] == [1, 0, 1]

    def test_an_act_takes_no_unknown_field(self, staff: APIClient, ada: APIClient) -> None:
        url = post(ada).json()["url"]
        for path, body in (
            (f"{url}cancel/", {"reason": "x"}),
            (f"{url}refunds/", {"amount": 1, "reason": "x", "currency": "EUR"}),
            ("/api/customers/", {"name": "Ada", "phone": "1"}),
            ("/api/token/", {"username": "ada", "password": "x", "scope": "all"}),
        ):
            answer = staff.post(path, body, format="json")
            codes = [error["code"] for error in answer.json()["errors"]]
            assert (answer.status_code, "unknown_field" in codes) == (400, True), path

    def test_refunds_are_for_staff(self, ada: APIClient) -> None:
        url = post(ada).json()["url"]
        assert ada.post(f"{url}refunds/", {"amount": 1, "reason": "x"}).status_code == 403


class TestShowing:
    def test_its_owner_sees_where_an_order_goes_and_a_list_does_not_say(self, ada: APIClient) -> None:
        url = post(ada).json()["url"]
        assert ada.get(url).json()["address"] == WISH["address"]
        assert "address" not in ada.get("/api/orders/").json()["results"][0]

    def test_one_order_shows_every_step_of_its_saga(self, ada: APIClient) -> None:
        order = post(ada).json()
        placed = Placed(order["order"])
        placed.log_as("done", "authorize-payment")
        shown = ada.get(order["url"]).json()
        assert [s["name"] for s in shown["saga"]["steps"]] == list(REPLIES)
        assert [s["state"] for s in shown["saga"]["steps"]] == ["done", "", "", "", "", ""]
        assert (shown["saga"]["status"], shown["status"]) == ("running", "placed")
        assert shown["lines"] == [
            {
                "sku": HEART,
                "name": f"Product {HEART}",
                "quantity": 7,
                "unit_price": 255,
                "price_source": "catalogue",
            }
        ]

    def test_a_list_costs_the_same_however_long(
        self, staff: APIClient, shop: Shop, django_assert_max_num_queries: Callable[[int], Any]
    ) -> None:
        for _ in range(5):
            shop.order()
        with django_assert_max_num_queries(3):
            assert len(staff.get(ORDERS).json()["results"]) == 5

    def test_rows_of_one_moment_have_one_order_on_every_page(self, staff: APIClient, shop: Shop) -> None:
        made = [Customer.objects.create(name="Ada", reference=str(number)) for number in range(20)]
        Customer.objects.update(created_at=made[0].created_at)
        page, seen = staff.get("/api/customers/?limit=3").json(), []
        while True:
            seen += [row["id"] for row in page["results"]]
            if not page["next"]:
                break
            page = staff.get(page["next"]).json()
        assert seen == sorted(map(str, Customer.objects.values_list("pk", flat=True)), reverse=True)

    def test_lists_are_filtered_and_paged(self, staff: APIClient, shop: Shop) -> None:
        done = shop.order()
        runner.complete_sagas({done.saga_id: runner.ChainEnd(REPLIES)})
        for _ in range(3):
            shop.order()
        confirmed = staff.get(ORDERS, {"status": "confirmed"}).json()["results"]
        assert [row["id"] for row in confirmed] == [str(done.id)]
        page = staff.get(ORDERS, {"limit": 3}).json()
        assert len(page["results"]) == 3
        assert len(staff.get(page["next"]).json()["results"]) == 1


class TestAStatus:
    """What a field shows, the filter takes; in the list, on the order's page and in the admin alike."""

    FLOWS = {"running": "placed", "stopping": "stopping", "forward": "finishing", "parked": "parked"}

    @pytest.mark.parametrize("flow", [Flow.ORCHESTRATED, Flow.CHOREOGRAPHED])
    def test_is_that_of_the_flow_while_it_is_open(
        self, staff: APIClient, admin_client: Client, shop: Shop, flow: Flow
    ) -> None:
        orders = {status: shop.place(flow=flow).order for status in self.FLOWS}
        for status, order in orders.items():
            SagaInstance.objects.filter(subject=str(order)).update(status=status)
            Choreography.objects.filter(order=order).update(status=status)
        listed = {row["id"]: row["status"] for row in staff.get(ORDERS).json()["results"]}
        for status, order in orders.items():
            shown = self.FLOWS[status]
            assert listed[str(order)] == shown
            assert staff.get(f"{ORDERS}{order}/").json()["status"] == shown
            found = staff.get(ORDERS, {"status": shown}).json()["results"]
            assert [row["id"] for row in found] == [str(order)]
            html = admin_client.get("/admin/order/order/", {"status__exact": shown}).content.decode()
            assert [str(each) in html for each in orders.values()] == [
                each == order for each in orders.values()
            ]
            page = admin_client.get(f"/admin/order/order/{order}/change/").content.decode()
            words = describe_shown_status(ShownStatus(shown))
            assert re.search(rf">\s*{words}\s*<", page)

    def test_of_an_order_that_has_ended_is_its_own(self, staff: APIClient, shop: Shop) -> None:
        placed = shop.order()
        Order.objects.filter(pk=placed.id).update(status="cancelled")
        assert [row["id"] for row in staff.get(ORDERS, {"status": "cancelled"}).json()["results"]] == [
            str(placed.id)
        ]
        assert staff.get(ORDERS, {"status": "placed"}).json()["results"] == []

    def test_that_does_not_exist_is_refused_with_those_that_do(self, staff: APIClient) -> None:
        answer = staff.get(ORDERS, {"status": "running"})
        assert answer.status_code == 400
        assert "must be one of placed, stopping, finishing, parked, confirmed, cancelled" in str(
            answer.json()
        )


class TestCancelling:
    @pytest.fixture
    def order(self, ada: APIClient) -> dict[str, Any]:
        return post(ada).json()  # type: ignore[no-any-return]

    def test_it_is_stopping_not_cancelled(self, ada: APIClient, order: dict[str, Any]) -> None:
        answer = ada.post(f"{order['url']}cancel/")
        assert (answer.status_code, answer.json()["status"]) == (202, "stopping")
        assert ada.get(order["url"]).json()["status"] == "stopping"
        runner.end_stop_chains({Placed(order["order"]).saga_id: runner.StopChainEnd({})})
        shown = ada.get(order["url"]).json()
        assert (shown["status"], shown["cancel_code"], shown["cancel_reason"]) == (
            "cancelled", "cancelled", "cancelled by ada"
        )  # fmt: skip

    @pytest.mark.parametrize("flow", [*Flow])
    @pytest.mark.parametrize("by_verb", [True, False])
    def test_the_customer_reads_neither_who_of_us_cancelled_it_nor_why(
        self, ada: APIClient, admin: APIClient, flow: Flow, by_verb: bool
    ) -> None:
        order = post(ada, flow=flow.value).json()
        placed = Order.objects.get(pk=order["order"])
        row = f"/api/sagas/{placed.saga}/" if placed.saga else order["url"]
        url = f"{row}compensate/" if by_verb else f"{order['url']}cancel/"
        answer = admin.post(url, {"why": "INTERNAL: fraud?"} if by_verb else {}, format="json")
        assert answer.status_code in (200, 202)
        if placed.saga:
            runner.end_stop_chains({placed.saga: runner.StopChainEnd({})})
        shown = ada.get(order["url"])
        told = shown.content.decode()
        assert "cancelled by us" in told
        assert "INTERNAL" not in told
        assert "root" not in told
        did = OperatorAction.objects.get(subject=order["order"])
        assert (did.verb, did.by) == ("compensate", "root")

    def test_when_it_is_too_late_the_reason_is_said(self, ada: APIClient, order: dict[str, Any]) -> None:
        runner.complete_sagas({Placed(order["order"]).saga_id: runner.ChainEnd(REPLIES)})
        answer = ada.post(f"{order['url']}cancel/")
        assert (answer.status_code, answer.json()["code"]) == (409, "too_late")
        assert "completed" in answer.json()["detail"]

    def test_a_parked_order_says_so(self, ada: APIClient, order: dict[str, Any]) -> None:
        """Rule 25."""
        Placed(order["order"]).set(status="parked", due_at=None)
        assert ada.get(order["url"]).json()["status"] == "parked"


class TestRefunds:
    def test_staff_ask_for_one(self, staff: APIClient, placed: Placed) -> None:
        runner.complete_sagas({placed.saga_id: runner.ChainEnd(REPLIES)})
        url = f"{ORDERS}{placed.id}/refunds/"
        answer = staff.post(url, {"amount": 255, "reason": "broken"}, format="json")
        assert (answer.status_code, answer.json()["status"]) == (202, "asked")
        assert [row["amount"] for row in staff.get(url).json()["results"]] == [255]

    def test_not_beyond_the_total(self, staff: APIClient, placed: Placed) -> None:
        """Rule 23."""
        runner.complete_sagas({placed.saga_id: runner.ChainEnd(REPLIES)})
        answer = staff.post(f"{ORDERS}{placed.id}/refunds/", {"amount": 1786, "reason": "x"}, format="json")
        assert (answer.status_code, answer.json()["code"]) == (409, "not_refundable")

    def test_of_no_order(self, staff: APIClient) -> None:
        assert (
            staff.post(f"{ORDERS}{uuid4()}/refunds/", {"amount": 1, "reason": "x"}, format="json").status_code
            == 404
        )


@pytest.mark.parametrize(
    "cursor",
    ["cD0lMDA=", "cD0yMDI2", "cD05OTk5OTk5OTk5OTk5OTk5OQ==", "x", "", "abcd", "r=1", "%C3%A4", "bz01MDAw"],
)
def test_a_cursor_that_is_none_is_told(peer: Any, db: None, cursor: str) -> None:
    answer = peer.get(f"/api/orders/?cursor={cursor}")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "cursor")


def test_json_nested_too_deeply_is_told(peer: Any, db: None) -> None:
    answer = peer.post("/api/orders/", "[" * 100_000 + "]" * 100_000, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (400, "parse_error")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ('{"currency": "EUR", "currency": "USD"}', "'currency'"),
        ('{"lines": [{"sku": "A", "quantity": 1, "quantity": 9}]}', "'quantity'"),
        ('{"address": {"a\\ud83d": 1, "a\\ud83d": 2}}', "'a\\\\ud83d'"),
    ],
)
def test_a_field_that_is_given_twice_is_told(peer: Any, db: None, body: str, field: str) -> None:
    answer = peer.post("/api/orders/", body, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (400, "parse_error")
    assert f"the field {field} is given twice" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        *(
            ({"lines": [{"sku": HEART, "quantity": 1, "unit_price": 1} | {name: value}]}, f"lines.0.{name}")
            for name in ("quantity", "unit_price")
            for value in ("1_000", " 1 ", "\uff11", "\u0661\u0660", "1.0", 1.0, "", True)
        ),
        ({"address": encode(ADDRESS) | {"postal_code": 10.50}}, "address.postal_code"),
        ({"payment_token": 7}, "payment_token"),
    ],
)
def test_a_number_and_a_text_are_what_they_look_like(
    staff: APIClient, change: dict[str, Any], field: str
) -> None:
    answer = post(staff, **change)
    assert answer.status_code == 400
    assert [each["field"] for each in answer.json()["errors"]] == [field]


@pytest.mark.parametrize("amount", ["1_0", "\uff11", MAX_AMOUNT + 1, 10**28, "9" * 999])
def test_an_amount_of_a_refund_is_one_that_can_be_paid(staff: APIClient, amount: Any) -> None:
    answer = staff.post(f"/api/orders/{uuid4()}/refunds/", {"amount": amount, "reason": "x"}, format="json")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "amount")


def test_options_names_the_methods_and_no_field(staff: APIClient) -> None:
    answer = staff.options("/api/orders/")
    assert (answer.status_code, answer.json()) == (200, {})
    assert {"GET", "POST"} <= {*answer["Allow"].split(", ")}


def test_a_title_has_no_holes(peer: Any, db: None) -> None:
    assert peer.put("/api/orders/").json()["title"] == "Method Not Allowed"
