"""Bad input over HTTP: problem details with a stable code, and nothing written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from django.conf import global_settings as settings

from celery_config.common.services import PARTICIPANTS, SERVICES
from order_project.domain import MAX_LINES, MAX_QUANTITY
from tests.acceptance.shop import ADDRESS, TEA, Shop, product

TABLES = (
    "order_order", "order_orderline", "order_customer", "messaging_idempotencykey", "saga_sagainstance",
    "saga_sagastep",
)  # fmt: skip
PROBLEM = "application/problem+json"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def written(shop: Shop) -> dict[str, int]:
    return {t: shop.rows("order", f"SELECT count(*) AS n FROM {t}")[0]["n"] for t in TABLES}


def assert_problem(answer: httpx.Response, status: int, code: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == PROBLEM
    problem = answer.json()
    assert (problem["status"], problem["code"]) == (status, code), problem
    assert problem["title"]
    assert problem["detail"]


LINE = {"sku": TEA, "quantity": 1}
FAULTY: dict[str, tuple[dict[str, Any], int, str]] = {
    "unknown SKU": ({"lines": [{"sku": "NO-SUCH", "quantity": 1}]}, 422, "unknown_sku"),
    "one unknown SKU among known": ({"lines": [LINE, {"sku": "NO-SUCH", "quantity": 1}]}, 422, "unknown_sku"),
    "quantity 0": ({"lines": [{"sku": TEA, "quantity": 0}]}, 400, "invalid"),
    "negative quantity": ({"lines": [{"sku": TEA, "quantity": -3}]}, 400, "invalid"),
    "absurd quantity": ({"lines": [{"sku": TEA, "quantity": 10**30}]}, 400, "invalid"),
    "absurd sum of quantities": (
        {"lines": [{"sku": TEA, "quantity": MAX_QUANTITY}] * 2},
        422,
        "bad_quantity",
    ),
    "half a unit": ({"lines": [{"sku": TEA, "quantity": 1.5}]}, 400, "invalid"),
    "no lines": ({"lines": []}, 400, "invalid"),
    "lines that are none": ({"lines": "tea"}, 400, "invalid"),
    "NUL in a SKU": ({"lines": [{"sku": "T\x00A", "quantity": 1}]}, 400, "invalid"),
    "wrong currency": ({"currency": "USD"}, 422, "wrong_currency"),
    "no currency": ({"currency": "euro"}, 400, "invalid"),
    "unknown currency": ({"currency": "ZZZ"}, 400, "invalid"),
    "no token": ({"payment_token": ""}, 400, "invalid"),
    "no country": ({"address": {**ADDRESS, "country": "Ireland"}}, 400, "invalid"),
    "unknown country": ({"address": {**ADDRESS, "country": "ZZ"}}, 400, "invalid"),
    "no address": ({"address": None}, 400, "invalid"),
    "no region where the country needs one": ({"address": {**ADDRESS, "country": "US"}}, 400, "invalid"),
    "unknown customer": ({"customer": str(uuid4())}, 422, "unknown_customer"),
}


class TestAnOrderThatCannotBe:
    @pytest.mark.parametrize("fault", FAULTY)
    def test_is_refused_and_nothing_is_written(self, open_shop: Shop, fault: str) -> None:
        change, status, code = FAULTY[fault]
        before = written(open_shop)
        key = str(uuid4())
        assert_problem(open_shop.shopper.place(open_shop.order(**change), key=key), status, code)
        assert written(open_shop) == before

    @pytest.mark.parametrize("body", [b"{", b"", b"[1, 2", b"\xff\xfe", b'"text"', b"[]", b"null"])
    def test_malformed_json(self, open_shop: Shop, body: bytes) -> None:
        before = written(open_shop)
        answer = open_shop.shopper.http.post(
            "/api/orders/", content=body, headers={"Content-Type": "application/json"}
        )
        assert answer.status_code == 400, answer.text
        assert answer.headers["content-type"] == PROBLEM
        assert answer.json()["code"] in ("parse_error", "invalid")
        assert written(open_shop) == before

    def test_another_content_type(self, open_shop: Shop) -> None:
        answer = open_shop.shopper.http.post("/api/orders/", data={"lines": "1"})
        assert_problem(answer, 415, "unsupported_media_type")

    def test_goods_that_cost_nothing(self, shop: Shop) -> None:
        shop.stock(product("FREE", 0))
        before = written(shop)
        assert_problem(shop.shopper.place(shop.order(("FREE", 1))), 422, "nothing_to_pay")
        assert written(shop) == before

    def test_no_login(self, open_shop: Shop) -> None:
        before = written(open_shop)
        anonymous = httpx.Client(base_url=open_shop.stack.url("order"), trust_env=False)
        assert_problem(anonymous.post("/api/orders/", json=open_shop.order()), 401, "not_authenticated")
        for service in SERVICES:
            url = f"{open_shop.stack.url(service)}/api/barrier/"
            assert_problem(httpx.get(url, trust_env=False), 401, "not_authenticated")
            forged = {"Authorization": "Bearer wrong"}
            assert_problem(httpx.get(url, headers=forged, trust_env=False), 401, "invalid_service_token")
        assert written(open_shop) == before


CUSTOMERS = """
from django.contrib.auth import get_user_model
from celery_config.web.tokens import issue_token
for name in ("ada", "bob"):
    user, _ = get_user_model().objects.get_or_create(username=name)
    print("token", issue_token(user)[1])
"""


@pytest.fixture(scope="module")
def customers(open_shop: Shop) -> Iterator[tuple[httpx.Client, httpx.Client]]:
    """Two customers who are no staff."""
    done = open_shop.command("order", "shell", "--verbosity=0", "-c", CUSTOMERS)
    tokens = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("token ")]
    assert len(tokens) == 2, done.stdout + done.stderr
    ada, bob = (
        httpx.Client(
            base_url=open_shop.stack.url("order"),
            headers={"Authorization": f"Token {token}"},
            trust_env=False,
            timeout=30,
        )
        for token in tokens
    )
    with ada, bob:
        yield ada, bob


class TestWhatDjangoAnswersItself:
    """The HTTP server, Django and DRF each answer some mistakes; the client sees one kind of answer."""

    @pytest.mark.parametrize("service", SERVICES)
    def test_is_a_problem_in_every_service(self, open_shop: Shop, service: str) -> None:
        url, staff = open_shop.stack.url(service), open_shop.operator(service)
        with httpx.Client(base_url=url, headers=staff, trust_env=False) as http:
            assert_problem(http.get("/api/nothing/here/"), 404, "not_found")
            assert_problem(http.get("/api/barrier/?limit=0"), 400, "invalid")
            assert_problem(http.get("/api/barrier/?saga=none"), 400, "invalid")
            assert_problem(http.delete("/api/barrier/"), 405, "method_not_allowed")
            assert_problem(
                http.get("/api/barrier/", headers={"Host": "evil.example"}), 400, "host_not_allowed"
            )
            large = b"x" * (settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1)
            assert_problem(http.post("/api/token/", content=large), 413, "body_too_large")
            assert_problem(http.post("/api/token/", content=iter([large])), 413, "body_too_large")
            form = http.post("/api/token/", content=iter([b"username=ada&password=x"]), headers=FORM)
            assert {error["code"] for error in form.json()["errors"]} == {"authorization"}
            assert http.get("/nothing").headers["content-type"].startswith("text/html")


class TestAnotherCustomersOrder:
    def test_is_not_to_be_found(self, shop: Shop, customers: tuple[httpx.Client, httpx.Client]) -> None:
        ada, bob = customers
        order = ada.post("/api/orders/", json=shop.order()).raise_for_status().json()["order"]
        assert ada.get(f"/api/orders/{order}/").status_code == 200
        for answer in (
            bob.get(f"/api/orders/{order}/"),
            bob.post(f"/api/orders/{order}/cancel/"),
            bob.get(f"/api/orders/{uuid4()}/"),
        ):
            assert_problem(answer, 404, "not_found")
        assert order not in {o["id"] for o in bob.get("/api/orders/").json()["results"]}
        theirs = ada.get(f"/api/orders/{order}/").json()["customer"]
        assert_problem(bob.post("/api/orders/", json=shop.order(customer=theirs)), 403, "not_yourself")
        refund = {"amount": 1, "reason": "mine"}
        assert_problem(bob.post(f"/api/orders/{order}/refunds/", json=refund), 403, "permission_denied")
        for service in PARTICIPANTS:
            url = f"{shop.stack.url(service)}/api/barrier/"
            # The token of a customer is unknown there.
            assert httpx.get(url, headers=bob.headers, trust_env=False).status_code == 401
        shop.all_confirmed([order])


class TestTheIdempotencyKey:
    def test_repeats_are_answered_with_the_first_order(self, shop: Shop) -> None:
        key, body = str(uuid4()), shop.order()
        first = shop.shopper.place(body, key=key)
        repeats = [shop.shopper.place(body, key=key) for _ in range(3)]
        assert {answer.status_code for answer in (first, *repeats)} == {202}
        assert {answer.json()["order"] for answer in repeats} == {first.json()["order"]}
        assert [answer.json()["repeated"] for answer in (first, *repeats)] == [False, True, True, True]
        before = written(shop)
        other = shop.shopper.place(shop.order((TEA, 7)), key=key)
        assert_problem(other, 422, "idempotency_key_reused")
        assert written(shop) == before
        shop.all_confirmed([first.json()["order"]])

    def test_given_twice_is_refused(self, shop: Shop) -> None:
        """The server joins the two, and the service reads one header."""
        twice = [("Idempotency-Key", str(uuid4())), ("idempotency-key", str(uuid4()))]
        before = written(shop)
        answer = shop.shopper.http.post("/api/orders/", json=shop.order(), headers=twice)
        assert_problem(answer, 400, "invalid")
        assert written(shop) == before

    def test_is_each_clients_own(self, shop: Shop, customers: tuple[httpx.Client, httpx.Client]) -> None:
        key = {"Idempotency-Key": str(uuid4())}
        answers = [client.post("/api/orders/", json=shop.order(), headers=key) for client in customers]
        orders = [answer.raise_for_status().json()["order"] for answer in answers]
        assert len(set(orders)) == 2
        shop.all_confirmed(orders)


class TestLargeOrders:
    @pytest.mark.parametrize("lines", [500, MAX_LINES])
    def test_are_carried(self, shop: Shop, lines: int) -> None:
        skus = [f"MANY-{n}" for n in range(lines)]
        shop.stock(*(product(sku, grams=10) for sku in skus))
        order = shop.place(lines=[{"sku": sku, "quantity": 1} for sku in skus])
        shop.all_confirmed([order])
        assert len(shop.shopper.detail(order)["lines"]) == lines

    def test_with_too_many_lines_are_refused(self, open_shop: Shop) -> None:
        before = written(open_shop)
        lines = [{"sku": f"MANY-{n}", "quantity": 1} for n in range(700)]
        assert_problem(open_shop.shopper.place(open_shop.order(lines=lines)), 422, "too_many_lines")
        assert written(open_shop) == before

    def test_whose_messages_would_be_too_large_are_refused(self, shop: Shop) -> None:
        # Each of these letters takes six bytes in a message.
        skus = [f"{'Ü' * 50}-{n}" for n in range(MAX_LINES)]
        shop.stock(*(product(sku, grams=10) for sku in skus))
        before = written(shop)
        answer = shop.shopper.place(shop.order(lines=[{"sku": sku, "quantity": 1} for sku in skus]))
        assert_problem(answer, 422, "order_too_large")
        assert written(shop) == before
