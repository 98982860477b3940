"""The order desk: what it places, what it refuses, what it shows, and what it costs to show it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.http import QueryDict
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from celery_config.errors import SagaPaused
from celery_config.sandbox.fates import FATES
from celery_config.sandbox.goods import ADDRESS, CURRENCY, GOODS, SOLD_OUT
from celery_config.sandbox.words import Token
from order_project.desk import orders, shelves
from order_project.desk.batches import Batch
from order_project.desk.forms import DeskForm
from order_project.forms import PARTS
from order_project.models import CatalogueProduct, Customer, Order
from tests.service.forms import INVISIBLE, hostile_forms, list_text_fields, send
from tests.service.order.conftest import HEART, LAMP, Placed, Shop

HTMX = {"HX-Request": "true"}
PAGE, PLACE = "admin:order_desk_changelist", "admin:order_desk_place"


def fill_in(**more: Any) -> dict[str, Any]:
    address = {f"address_{part}": ADDRESS.get(part, "") for part in PARTS}
    return {
        "sku": [HEART, LAMP], "quantity": ["2", "1"], "fate": "fine", "flow": "orchestrated", "count": "1",
        "rate": "1", "customer": "order-desk", "card": "tok_visa", **address, **more,
    }  # fmt: skip


def make_query(given: dict[str, Any]) -> QueryDict:
    query = QueryDict(mutable=True)
    for name, value in given.items():
        query.setlist(name, value if isinstance(value, list) else [value])
    return query


def place(client: Client, **more: Any) -> str:
    answer = client.post(reverse(PLACE), fill_in(**more), headers=HTMX)
    assert answer.status_code == 200
    return answer.content.decode()


def go_on(client: Client, page: str) -> str:
    """Return the page of the next second of a batch."""
    hidden = dict(re.findall(r'name="(\w+)" value="([^"]*)"', page))
    given = {name: hidden[name].replace("&quot;", '"') for name in ("order", "left", "rate", "placed")}
    return client.post(reverse(PLACE), given, headers=HTMX).content.decode()


def raise_paused(*_: Any) -> None:
    raise SagaPaused("new orders are paused")


@pytest.fixture
def clerk(client: Client, shop: Shop) -> Client:
    """Somebody with the permission of the desk alone."""
    user = User.objects.create_user("clerk", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="use_desk"))
    client.force_login(user)
    return client


class TestPlacing:
    def test_an_order_is_placed_as_the_form_says(self, clerk: Client) -> None:
        assert "Placed 1 order." in place(clerk)
        (order,) = Order.objects.all()
        assert {line.sku: line.quantity for line in order.lines.all()} == {HEART: 2, LAMP: 1}
        assert order.saga is not None
        assert order.customer == Customer.objects.get(reference="order-desk")
        assert {part: order.address[part] for part in ADDRESS} == ADDRESS

    @pytest.mark.parametrize(("first", "second"), [("1", "2"), ("99999", "1")])
    def test_lines_of_one_product_are_added_up(self, clerk: Client, first: str, second: str) -> None:
        place(clerk, sku=[HEART, LAMP, HEART], quantity=[first, "4", second])
        ordered = {line.sku: line.quantity for line in Order.objects.get().lines.all()}
        assert ordered == {HEART: int(first) + int(second), LAMP: 4}

    def test_without_a_script_the_page_is_loaded_again(self, clerk: Client) -> None:
        answer = clerk.post(reverse(PLACE), fill_in(flow="choreographed"), follow=True)
        assert "Placed 1 order." in answer.content.decode()
        assert Order.objects.get().saga is None
        answer = clerk.post(reverse(PLACE), fill_in(count="3", rate="2"), follow=True)
        assert "Placed 2 of 3 orders: " in answer.content.decode()

    @pytest.mark.parametrize("fate", FATES)
    def test_each_fate_can_be_chosen(self, clerk: Client, fate: str) -> None:
        assert "Placed 1 order." in place(clerk, fate=fate)
        order = Order.objects.get()
        assert order.address["country"] == FATES[fate].address.get("country", "IE")

    @pytest.mark.parametrize(
        ("fate", "card", "is_replaced"),
        [
            ("declined", "tok_mine", True),
            ("declined", Token.APPROVED.value, False),
            ("declined", FATES["declined"].token.value, False),
            ("fine", "tok_mine", False),
        ],
    )
    def test_a_typed_card_that_is_replaced_is_named(
        self, clerk: Client, fate: str, card: str, is_replaced: bool
    ) -> None:
        told = f"needs the card {FATES['declined'].token.value}, so it stands in the place of {card}"
        assert (told in place(clerk, fate=fate, card=card)) is is_replaced
        page = place(clerk, fate=fate, card=card, count="3", rate="1")
        assert page.count(told) == (2 if is_replaced else 0)  # shown, and kept for the next second

    def test_its_own_goods_come_before_those_of_an_import(self, clerk: Client) -> None:
        for good in (*GOODS, SOLD_OUT):
            CatalogueProduct.objects.create(
                sku=good.sku, name=good.name, price=good.price, currency=CURRENCY, weight_grams=good.weight_grams,
                active=True, version=1,
            )  # fmt: skip
        own = sorted(good.sku for good in GOODS)
        for number in range(shelves.SHOWN):
            CatalogueProduct.objects.create(
                sku=f"00{number:02}", name="Foreign", price=1, currency=CURRENCY, weight_grams=1, active=True,
                version=1,
            )  # fmt: skip
        shown = [each.sku for each in shelves.list_products()]
        assert shown == [*own, *(f"00{number:02}" for number in range(shelves.SHOWN - len(own)))]
        CatalogueProduct.objects.filter(name="Foreign").delete()
        assert [each.sku for each in shelves.list_products()] == [*own, *sorted([HEART, LAMP, SOLD_OUT.sku])]
        page = clerk.get(reverse(PAGE)).content.decode()
        assert re.search(r'name="sku" value="([^"]+)"', page)[1] == own[0]  # type: ignore[index]

    def test_many_are_placed_second_by_second(self, clerk: Client) -> None:
        page = place(clerk, count="5", rate="2")
        for placed in (2, 4):
            assert f"Placed {placed}, {5 - placed} to come, 2 a second." in page
            page = go_on(clerk, page)
        assert "Placed 5 orders." in page
        assert Order.objects.count() == 5

    def test_a_batch_that_stops_says_what_it_has_placed(
        self, clerk: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = place(clerk, count="5", rate="2")
        CatalogueProduct.objects.filter(sku=HEART).update(active=False)
        assert "Placed 2 orders. No more were placed: " in go_on(clerk, first)
        assert "Nothing was placed: " in place(clerk, count="5", rate="2")
        monkeypatch.setattr(orders, "place_orders", raise_paused)
        assert "Placed 2 orders. No more were placed: new orders are paused" in go_on(clerk, first)
        assert Order.objects.count() == 2

    @pytest.mark.parametrize(
        ("wrong", "told"),
        [
            ({"sku": []}, "Choose 1 to 20 products."),
            ({"sku": ["nothing"], "quantity": ["1"]}, "There is no product"),
            ({"sku": ["a\0b"], "quantity": ["1"]}, "There is no product"),
            ({"sku": [HEART, HEART], "quantity": ["100000", "1"]}, f"{HEART}: Ensure this value is less"),
            ({"quantity": ["2", "%s"]}, ": &#x27;%s&#x27; is not a whole number."),
            ({"quantity": ["2"]}, "Choose 1 to 20 products."),
            ({"fate": "glory"}, "What shall happen: "),
            ({"count": "201"}, "How many: Ensure"),
            ({"rate": "0"}, "How many a second: Ensure"),
            ({"customer": "nobody"}, "There is no such customer."),
            (
                {
                    "address_name": "",
                    "address_line1": "",
                    "address_city": "",
                    "address_postal_code": "",
                    "address_country": "",
                },
                "Address: ",
            ),
            ({"order": "{", "left": "1", "rate": "1"}, "this is no batch"),
            ({"order": "{}", "left": "1", "rate": "99"}, "this is no batch"),
        ],
    )
    def test_a_wrong_form_places_nothing(self, clerk: Client, wrong: dict[str, Any], told: str) -> None:
        page = place(clerk, **wrong)
        assert told in page
        assert "__all__" not in page
        assert not Order.objects.exists()

    def test_for_another_customer_only_with_the_permission_to_add_orders(
        self, clerk: Client, admin_client: Client, shop: Shop
    ) -> None:
        theirs = fill_in(customer=str(shop.customer.pk))
        assert clerk.post(reverse(PLACE), theirs, headers=HTMX).status_code == 403
        batch = {"order": f'{{"customer": "{shop.customer.pk}"}}', "left": "1", "rate": "1", "placed": "0"}
        assert clerk.post(reverse(PLACE), batch, headers=HTMX).status_code == 403
        assert not Order.objects.exists()
        assert admin_client.post(reverse(PLACE), theirs, headers=HTMX).status_code == 200
        assert Order.objects.get().customer == shop.customer


def test_every_value_of_the_form_is_taken_or_refused(clerk: Client) -> None:
    form = DeskForm()
    for values in hostile_forms(form, {}, each=True):
        send(clerk, reverse(PLACE), fill_in(**values), post=True)
    for name, part in list_text_fields(form):
        refused = DeskForm(make_query(fill_in(**{f"{name}{part}": INVISIBLE})))
        assert name in refused.errors, (name, part)


class TestWithoutTheSandbox:
    @pytest.mark.parametrize(
        "real", [{"ENVIRONMENT": "production"}, {"PAYMENT_GATEWAY": "stripe"}, {"CARRIER": "own.Carrier"}]
    )
    def test_no_order_has_a_fate(self, clerk: Client, settings: Any, real: dict[str, str]) -> None:
        for name, value in real.items():
            setattr(settings, name, value)
        page = clerk.get(reverse(PAGE)).content.decode()
        assert "Orders have no fate here" in page
        assert [name for name in FATES if f'value="{name}"' in page] == ["fine"]
        assert "What shall happen: " in place(clerk, fate="declined")
        assert "Placed 1 order." in place(clerk)


class TestThePage:
    def test_finds_products_and_adds_them(self, clerk: Client) -> None:
        found = clerk.get(reverse("admin:order_desk_products"), {"q": "7105"}).content.decode()
        assert (LAMP in found, HEART in found) == (True, False)
        line = clerk.get(reverse("admin:order_desk_lines"), {"product": LAMP}).content.decode()
        assert f'name="sku" value="{LAMP}"' in line
        assert "€3.39" in line
        assert clerk.get(reverse("admin:order_desk_lines"), {"product": "x"}).status_code == 404

    def test_finds_the_beginning_of_a_sku_among_any_number_of_products(
        self, clerk: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(shelves, "SEARCHED", 1)
        for text in (LAMP[:3], HEART.lower()):
            (found,) = shelves.list_products(text)
            assert found.sku.startswith(text.upper())
        assert len(shelves.list_products("product")) == 1  # a part of a name, among the first one alone

    def test_finds_the_sku_that_is_typed_out_first(self, clerk: Client) -> None:
        names = {**{str(number): "TEA TOWEL" for number in range(20)}, "TEA": "Tea"}
        rest = {
            "price": 1,
            "currency": "GBP",
            "weight_grams": 1,
            "active": True,
            "version": 1,
            "deleted": False,
        }
        CatalogueProduct.objects.bulk_create(
            CatalogueProduct(sku=sku, name=name, **rest) for sku, name in names.items()
        )
        found = clerk.get(reverse("admin:order_desk_products"), {"q": "tea"}).content.decode()
        assert re.findall(r"<small>(.*?)</small>", found)[:2] == ["TEA", "0"]

    def test_says_how_to_fill_empty_shelves(self, clerk: Client) -> None:
        CatalogueProduct.objects.all().delete()
        assert "order place" in clerk.get(reverse(PAGE)).content.decode()

    def test_shows_the_same_request_as_curl(self, clerk: Client) -> None:
        page = clerk.post(reverse("admin:order_desk_curl"), fill_in(fate="declined")).content.decode()
        assert "curl http://testserver/api/orders/" in page
        assert "tok_card_declined" in page
        assert not Order.objects.exists()

    def test_an_order_is_cancelled_in_mid_flight_by_who_may(
        self, clerk: Client, admin_client: Client, placed: Placed
    ) -> None:
        url = reverse("admin:order_desk_cancel", args=[placed.id])
        assert clerk.post(url, headers=HTMX).status_code == 403
        told = admin_client.post(url, headers=HTMX).content.decode()
        assert "If the money is not taken yet, everything is undone; if it is" in told
        assert placed.saga.status == "stopping"
        placed.set(status="completed")
        assert "it is completed" in admin_client.post(url, headers=HTMX).content.decode()


class TestTheLastOrders:
    def test_cost_few_queries_however_many_travel(
        self, admin_client: Client, shop: Shop, django_assert_max_num_queries: DjangoAssertNumQueries
    ) -> None:
        for _ in range(12):
            shop.order()
        place(admin_client, flow="choreographed")
        url = reverse("admin:order_desk_orders")
        with django_assert_max_num_queries(10):
            page = admin_client.get(url).content.decode()
        assert page.count("<article") == 10
        assert "choreographed" in page
        assert "every 2s" in page

    def test_are_not_sent_again_while_nothing_moves(self, admin_client: Client, placed: Placed) -> None:
        first = admin_client.get(reverse("admin:order_desk_orders"))
        again = admin_client.get(reverse("admin:order_desk_orders"), headers={"If-None-Match": first["ETag"]})
        assert again.status_code == 304


def test_a_batch_stops_at_the_first_that_is_refused(shop: Shop) -> None:
    order = {
        "lines": [{"sku": "nothing", "quantity": 1}], "currency": "EUR", "payment_token": "x", "address": ADDRESS,
        "customer": str(shop.customer.pk),
    }  # fmt: skip
    done = Batch(order, left=5, rate=2).place_some()
    assert (done.placed, done.left, "no such product" in done.refused) == (0, 3, True)
