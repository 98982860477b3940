"""The API and the admin."""

from __future__ import annotations

import re
from typing import Any
from uuid import uuid4

import pytest
from django.urls import reverse

from celery_config.web.elsewhere import order_url
from inventory_app import services
from inventory_app.models import Movement, PayableCurrency, Product
from inventory_app.selectors import read_prices
from tests.service.pages import (
    assert_finds_by_index,
    assert_reads_little,
    lists,
    open_form,
    opened,
    save_form,
)

READS = ["products", "stock", "reservations", "movements"]
ITEM = {"sku": "A", "name": "Lamp", "price": 250, "currency": "GBP", "weight_grams": 20, "active": True}


@pytest.fixture
def order(shop: Any, participant: Any) -> Any:
    """A reserved order of products A and B."""
    shop.stock(A=5, B=2)
    command = shop.reserve(A=3, B=1)
    participant.do(command)
    return command.order


def test_products_are_put_and_read(shop: Any, peer: Any) -> None:
    body = {"products": [ITEM, {**ITEM, "sku": "BANK CHARGES"}]}
    assert peer.post("/api/products/", body, format="json").json() == {
        "created": 2,
        "changed": 0,
        "unchanged": 0,
        "warnings": [],
    }
    assert peer.post("/api/products/", body, format="json").json() == {
        "created": 0,
        "changed": 0,
        "unchanged": 2,
        "warnings": [],
    }
    assert peer.get("/api/products/A/").json()["version"] == 1
    assert peer.get("/api/products/BANK%20CHARGES/").json()["name"] == "Lamp"
    assert peer.get("/api/products/NONE/").status_code == 404


def test_a_price_is_in_a_currency_of_iso_4217(peer: Any, db: None) -> None:
    answer = peer.post("/api/products/", {"products": [ITEM, {**ITEM, "currency": "ZZZ"}]}, format="json")
    assert answer.status_code == 400
    (error,) = answer.json()["errors"]
    assert (error["field"], error["code"]) == ("products.1.currency", "unknown_currency")
    assert not Product.objects.exists()


@pytest.mark.parametrize(
    ("field", "value"), [("price", "\u0661\u0660"), ("weight_grams", "1_0"), ("name", 7)]
)
def test_a_number_and_a_text_are_what_they_look_like(peer: Any, db: None, field: str, value: Any) -> None:
    answer = peer.post("/api/products/", {"products": [{**ITEM, field: value}]}, format="json")
    assert answer.status_code == 400
    assert [each["field"] for each in answer.json()["errors"]] == [f"products.0.{field}"]


@pytest.mark.parametrize("price", [250, "250", "+250"])
def test_digits_are_a_number(peer: Any, db: None, price: Any) -> None:
    assert peer.post("/api/products/", {"products": [{**ITEM, "price": price}]}, format="json").json()[
        "created"
    ]


def test_the_admin_holds_it_to_that_list_too(admin_client: Any) -> None:
    url = reverse("admin:inventory_product_add")
    sent = {**ITEM, "active": "on"}
    assert "not an ISO 4217 currency" in admin_client.post(url, {**sent, "currency": "ZZZ"}).content.decode()
    for price in ("1_0", "\uff11", " 1 "):
        answer = admin_client.post(url, {**sent, "price": price})
        assert [*answer.context["adminform"].form.errors] == ["price"]
    assert not Product.objects.exists()
    assert admin_client.post(url, sent).status_code == 302


@pytest.mark.parametrize(
    "given", ["active=", "active=perhaps", "active=%25d", "currency=E%00R", "limit=0", "limit=501"]
)
def test_a_filter_of_the_wrong_type_is_told(peer: Any, db: None, given: str) -> None:
    answer = peer.get(f"/api/products/?{given}")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
    assert answer.json()["errors"][0]["field"] == given.partition("=")[0]


@pytest.mark.parametrize(("word", "count"), [("true", 1), ("False", 1), ("1", 1)])
def test_products_are_filtered_by_whether_they_are_sold(shop: Any, peer: Any, word: str, count: int) -> None:
    peer.post("/api/products/", {"products": [ITEM, {**ITEM, "sku": "B", "active": False}]}, format="json")
    assert len(peer.get(f"/api/products/?active={word}").json()["results"]) == count


def test_a_catalogue_made_at_once_is_read_page_by_page(shop: Any, peer: Any) -> None:
    skus = [f"S{n:04d}" for n in range(700)]
    shop.stock(**dict.fromkeys(skus, 1))
    for url in ("/api/products/?limit=300", "/api/stock/?limit=300"):
        seen, next_page = [], url
        while next_page:
            page = peer.get(next_page).json()
            seen += [row["sku"] for row in page["results"]]
            next_page = page["next"]
        assert seen == skus


def test_opening_stock_says_what_was_there(shop: Any, peer: Any) -> None:
    peer.post("/api/products/", {"products": [ITEM]}, format="json")
    body = {"items": [{"sku": "A", "quantity": 5}]}
    assert peer.post("/api/stock/opening/", body, format="json").json() == {"booked": 1, "there_already": 0}
    assert peer.post("/api/stock/opening/", body, format="json").json() == {"booked": 0, "there_already": 1}
    (row,) = peer.get("/api/stock/?product=A").json()["results"]
    assert row == {"sku": "A", "on_hand": 5, "reserved": 0, "available": 5, "opening": 5}


def test_who_changed_a_price_is_kept(peer: Any, admin_client: Any) -> None:
    peer.post("/api/products/", {"products": [ITEM]}, format="json")
    cheap = {"products": [{**ITEM, "price": 1}]}
    for _ in range(2):
        admin_client.post("/api/products/", cheap, content_type="application/json")
    changed, created = admin_client.get(f"/api/changes/?kind=product&key={ITEM['sku']}").json()["results"]
    assert (changed["by"], changed["what"]) == ("admin", {"price": [ITEM["price"], 1]})
    assert (created["by"], created["what"]["price"]) == ("service:operator", [None, ITEM["price"]])


def test_an_adjustment(order: Any, peer: Any) -> None:
    body = {"adjustment": str(uuid4()), "sku": "A", "quantity": -2, "reason": "broken"}
    adjusted = peer.post("/api/stock/adjustments/", body, format="json").json()
    assert (adjusted["on_hand"], adjusted["by"]) == (3, "service:operator")
    answer = peer.post("/api/stock/adjustments/", {**body, "adjustment": str(uuid4())}, format="json")
    assert (answer.status_code, answer.json()["code"]) == (422, "stock_below_reserved")


def test_reservations_and_movements_of_an_order(order: Any, peer: Any) -> None:
    (reservation,) = peer.get(f"/api/reservations/?order={order}&state=held").json()["results"]
    assert reservation["lines"] == [{"sku": "A", "quantity": 3}, {"sku": "B", "quantity": 1}]
    found = peer.get(f"/api/movements/?order={order}&kind=reserve").json()["results"]
    assert sorted((m["sku"], m["quantity"], m["reserved"]) for m in found) == [("A", 3, 3), ("B", 1, 1)]


def test_facts_for_the_audit(order: Any, peer: Any) -> None:
    answer = peer.post("/api/facts/", {"orders": [str(order), str(uuid4())]}, format="json").json()
    lines = [{"sku": "A", "quantity": 3}, {"sku": "B", "quantity": 1}]
    prices = read_prices({"A", "B"})
    assert answer == {
        "facts": {str(order): {"state": "held", "lines": lines, "prices": prices}},
        "totals": {"products": 2, "faults": []},
    }
    assert "totals" not in peer.post("/api/facts/", {"orders": [], "totals": False}, format="json").json()


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("products/", {"products": []}, 400, "invalid"),
        ("products/", {"products": [{**ITEM, "price": -1}]}, 400, "invalid"),
        ("products/", {"products": [{**ITEM, "price": 10**20}]}, 400, "invalid"),
        ("products/", {"products": [{**ITEM, "currency": "pounds"}]}, 400, "invalid"),
        ("products/", {"products": [{**ITEM, "sku": "A/B"}]}, 400, "invalid"),
        ("products/", {"products": [{**ITEM, "name": "a\x00b"}]}, 400, "invalid"),
        ("products/", {"products": [{**ITEM, "weight_grams": 0}]}, 400, "invalid"),
        ("products/", {"products": [ITEM] * 1001}, 400, "invalid"),
        ("products/", {"products": [ITEM, ITEM]}, 422, "repeated_sku"),
        ("stock/opening/", {"items": [{"sku": "A", "quantity": -1}]}, 400, "invalid"),
        ("stock/opening/", {"items": [{"sku": "A", "quantity": 1}] * 2}, 422, "repeated_sku"),
        ("stock/opening/", {"items": [{"sku": "NONE", "quantity": 1}]}, 422, "unknown_sku"),
        ("facts/", {"orders": ["x"]}, 400, "invalid"),
        ("facts/", {"orders": [str(uuid4())] * 501}, 400, "invalid"),
        ("facts/", [], 400, "invalid"),
    ],
)
def test_bad_input_is_told_and_changes_nothing(
    shop: Any, peer: Any, path: str, body: Any, status: int, code: str
) -> None:
    answer = peer.post(f"/api/{path}", body, format="json")
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.json()
    assert not Product.objects.exists()


def test_malformed_json_is_told(shop: Any, peer: Any) -> None:
    answer = peer.post("/api/products/", '{"products": [', content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (400, "parse_error")


@pytest.mark.parametrize("name", READS)
def test_only_staff_may_read(order: Any, peer: Any, stranger: Any, django_user_model: Any, name: str) -> None:
    assert peer.get(reverse(name)).status_code == 200
    assert stranger.get(reverse(name)).status_code == 401
    stranger.force_authenticate(django_user_model.objects.create_user("customer"))
    assert stranger.get(reverse(name)).status_code == 403


@pytest.mark.parametrize("name", ["products", "opening-stock", "adjustments", "facts"])
def test_only_staff_may_write(shop: Any, stranger: Any, name: str) -> None:
    assert stranger.post(reverse(name), {}, format="json").status_code == 401


@pytest.mark.parametrize("page", lists())
def test_an_admin_list_reads_little(order: Any, shop: Any, admin_client: Any, page: str) -> None:
    shop.stock(**{f"S{n}": 9 for n in range(20)})
    assert_reads_little(admin_client, page)


@pytest.mark.parametrize("page", ["inventory_reservation", "inventory_movement"])
def test_an_admin_search_compares_ids(order: Any, admin_client: Any, page: str) -> None:
    assert_finds_by_index(admin_client, page, str(order))
    assert f'title="{order}"' in opened(admin_client, page, q=str(order))[0]
    assert f'title="{order}"' not in opened(admin_client, page, q=str(uuid4()))[0]


@pytest.mark.parametrize(("word", "found"), [("A", True), ("85123A", False), ("no such", False)])
@pytest.mark.parametrize("model", ["product", "stock", "movement"])
def test_admin_lists_are_searched_by_sku(
    order: Any, admin_client: Any, model: str, word: str, found: bool
) -> None:
    html, _ = opened(admin_client, f"inventory_{model}", q=word)
    assert ("/change/" in html) == found


@pytest.mark.parametrize("page", ["inventory_stock", "inventory_movement"])
def test_quantities_read_as_people_do(shop: Any, admin_client: Any, page: str) -> None:
    shop.stock(A=1_234_567)
    services.adjust_stock(adjustment=uuid4(), sku="A", quantity=-1000, reason="broken", by="ada")
    html, _ = opened(admin_client, page)
    assert re.search(r"field-number_on_hand[^>]*>\s*1,233,567\s*<", html)
    assert ("−1,000" in html) == (page == "inventory_movement")


@pytest.mark.parametrize("sku", ["%00", "A%00", "%00A"])
def test_nul_in_a_sku(shop: Any, peer: Any, sku: str) -> None:
    answer = peer.get(f"/api/products/{sku}/")
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")


@pytest.mark.parametrize("model", ["product", "stock", "reservation", "movement"])
def test_admin_pages_open(order: Any, admin_client: Any, model: str) -> None:
    from django.apps import apps

    row = apps.get_model("inventory", model).objects.first()
    assert admin_client.get(reverse(f"admin:inventory_{model}_change", args=[row.pk])).status_code == 200
    added = admin_client.get(reverse(f"admin:inventory_{model}_add")).status_code
    assert added == (200 if model == "product" else 403)


def test_a_movement_leads_to_its_order(order: Any, admin_client: Any) -> None:
    movement = Movement.objects.filter(order__isnull=False).latest("id")
    page = admin_client.get(reverse("admin:inventory_movement_change", args=[movement.pk])).content.decode()
    assert f'href="{order_url(movement.order)}"' in page


def test_the_form_of_a_product_says_its_units(order: Any, admin_client: Any) -> None:
    for url in (
        reverse("admin:inventory_product_add"),
        reverse("admin:inventory_product_change", args=["A"]),
    ):
        page = admin_client.get(url).content.decode()
        assert "Weight in grams" in page
        assert "1450 is €14.50" in page


def test_the_admin_changes_products_through_the_service(shop: Any, admin_client: Any) -> None:
    form = {"sku": "NEW", "name": "Lamp", "price": 250, "currency": "GBP", "weight_grams": 20, "active": "on"}
    assert admin_client.post(reverse("admin:inventory_product_add"), form).status_code == 302
    change = reverse("admin:inventory_product_change", args=["NEW"])
    assert save_form(admin_client, change, {**form, "price": 300}).status_code == 302
    product = Product.objects.get()
    assert (product.price, product.version) == (300, 2)


def test_an_old_form_sets_no_price_back(shop: Any, peer: Any, admin_client: Any) -> None:
    put(peer, price=100)
    change = reverse("admin:inventory_product_change", args=["TEA"])
    opened = open_form(admin_client, change)
    put(peer, price=200)
    form = {"name": "Tea!", "price": 100, "currency": "KWD", "weight_grams": 1, "active": "on"}
    answer = save_form(admin_client, change, form, made_from=opened)
    assert "Price (now 200)" in answer.content.decode()
    product = Product.objects.get()
    assert (product.name, product.price, product.version) == ("Tea", 200, 2)


@pytest.fixture
def kwd_in_tens(db: None) -> None:
    """What the provider takes of two currencies; of the others nothing is known."""
    PayableCurrency.objects.create(currency="KWD", accepted=True, step=10, version=1)
    PayableCurrency.objects.create(currency="IRR", accepted=False, step=1, version=1)


def put(peer: Any, **changes: Any) -> dict[str, Any]:
    product = {"sku": "TEA", "name": "Tea", "price": 12345, "currency": "KWD", "weight_grams": 1}
    answer = peer.post("/api/products/", {"products": [product | changes]}, format="json")
    assert answer.status_code == 200, answer.content
    return dict(answer.json())


@pytest.mark.parametrize(
    ("price", "currency", "words"),
    [
        (12345, "KWD", "takes KWD in steps of 10 minor units"),
        (12340, "KWD", ""),
        (12345, "IRR", "does not take IRR"),
        (12345, "EUR", ""),
    ],
)
def test_a_product_that_cannot_be_paid_shows_a_warning(
    shop: Any, kwd_in_tens: None, peer: Any, admin_client: Any, price: int, currency: str, words: str
) -> None:
    warnings = put(peer, price=price, currency=currency)["warnings"]
    assert [words in each["detail"] for each in warnings] == ([True] if words else [])
    assert words in peer.get("/api/products/TEA/").json()["payment_warning"]
    (listed,) = peer.get("/api/products/").json()["results"]
    assert bool(listed["payment_warning"]) == bool(words)
    form = {"name": "Tea!", "price": price, "currency": currency, "weight_grams": 1, "active": "on"}
    change = reverse("admin:inventory_product_change", args=["TEA"])
    assert save_form(admin_client, change, form).status_code == 302
    html = admin_client.get(change).content.decode()
    assert (("TEA: the payment provider" in html) and (words in html)) == bool(words)
    assert (words or "no fault known") in admin_client.get(change).content.decode()


@pytest.mark.parametrize("currency", ["XXX", "XAU", "XTS", "CLF"])
def test_what_is_no_money_is_refused(shop: Any, peer: Any, currency: str) -> None:
    product = {"sku": "TEA", "name": "Tea", "price": 1, "currency": currency, "weight_grams": 1}
    answer = peer.post("/api/products/", {"products": [product]}, format="json")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "unknown_currency")


def test_the_schema_and_its_page_are_served(shop: Any, stranger: Any) -> None:
    assert stranger.get("/api/schema/").status_code == 200
    assert stranger.get("/api/docs/").status_code == 200
