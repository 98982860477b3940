"""What people know of an order leads to it: an id, the end that lists show, its number, its parcel, its customer."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.db import connection, transaction
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from celery_config.saga.models import SagaInstance
from order_project.models import Customer, Order, Refund
from tests.service.order.conftest import Placed
from tests.service.pages import opened

pytestmark = pytest.mark.django_db
WORDS = [
    "{id}",
    "…{id_end}",
    "{id_end}",
    "{saga}",
    "…{saga_end}",
    "INV-7",
    "SB-1",
    "ada@example.com",
    "ADA@exam",
]
NAMES = ["Ada", "ada", "ad"]


@pytest.fixture
def order(placed: Placed) -> Placed:
    Order.objects.filter(pk=placed.id).update(reference="INV-7", tracking_number="SB-1")
    other = Order.objects.get(pk=placed.id)
    other.pk, other.saga, other.customer = (
        uuid4(),
        uuid4(),
        Customer.objects.create(name="Bob", email="bob@example.com"),
    )
    other.reference, other.tracking_number = "", ""
    other.save(force_insert=True)
    return placed


def fill(word: str, placed: Placed) -> str:
    ids = {"id": str(placed.id), "saga": str(placed.saga_id)}
    return word.format(**ids, id_end=ids["id"][-8:], saga_end=ids["saga"][-8:])


def explain(model: type[Model], word: str) -> str:
    """The plan of what Ctrl-K asks a table for this word, if reading the whole of it is dear."""
    model_admin: Any = admin.site._registry[model]
    rows = model._default_manager.filter(model_admin.match_word(word, keys_only=True)).order_by()[:5]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        plan = rows.explain()
        cursor.execute("RESET enable_seqscan")
    return plan


@pytest.mark.parametrize("word", WORDS)
def test_the_list_finds_the_order(admin_client: Client, order: Placed, word: str) -> None:
    html, _ = opened(admin_client, "order_order", q=fill(word, order))
    found = {str(key) for key in Order.objects.values_list("pk", flat=True) if str(key) in html}
    assert found == {str(order.id)}


@pytest.mark.parametrize("word", WORDS)
def test_the_palette_leads_to_it(admin_client: Client, order: Placed, word: str) -> None:
    html = admin_client.get("/admin/search/", {"s": fill(word, order), "extended": "1"}).content.decode()
    page = "customer" if "@" in word else "sagainstance" if "saga" in word else "order"
    assert f"/admin/{'saga' if page == 'sagainstance' else 'order'}/{page}/" in html
    assert "No results" not in html


@pytest.mark.parametrize("word", WORDS)
def test_it_asks_little(
    admin_client: Client, order: Placed, word: str, django_assert_max_num_queries: Any
) -> None:
    admin_client.get("/admin/")
    with django_assert_max_num_queries(10):
        admin_client.get("/admin/find/", {"q": fill(word, order)})


@pytest.mark.parametrize(
    ("model", "word", "index"),
    [
        (Order, "…1a2b3c4d", "order_by_ending"),
        (Order, "SB-1", "order_by_tracking"),
        (Order, "SB-1", "order_reference_once"),
        (Order, "ada@example.com", "order_by_customer"),
        (Customer, "ada@example.com", "customer_by_email"),
        (Customer, "Ada Lovelace", "customer_by_name"),
        (Customer, "…1a2b3c4d", "customer_by_ending"),
        (Refund, "1a2b3c4d", "refund_by_ending"),
        (SagaInstance, "…1a2b3c4d", "saga_by_ending"),
        (SagaInstance, "…1a2b3c4d", "saga_by_subject_ending"),
    ],
)
def test_an_index_serves_each(order: Placed, model: type[Model], word: str, index: str) -> None:
    plan = explain(model, word)
    assert index in plan
    assert "Seq Scan" not in plan


@pytest.mark.parametrize("word", NAMES)
def test_the_palette_finds_a_customer_by_the_beginning_of_the_name(
    admin_client: Client, order: Placed, word: str
) -> None:
    html = admin_client.get("/admin/search/", {"s": word, "extended": "1"}).content.decode()
    assert reverse("admin:order_customer_change", args=[order.order.customer_id]) in html
    other = Customer.objects.get(name="Bob")
    assert reverse("admin:order_customer_change", args=[other.pk]) not in html


def test_the_page_leads_on_when_there_is_one(admin_client: Client, order: Placed) -> None:
    answer = admin_client.get("/admin/find/", {"q": "INV-7"})
    assert answer["Location"] == reverse("admin:order_order_change", args=[order.id])


def test_the_page_of_what_is_not_here_leads_to_the_others(admin_client: Client, settings: Any) -> None:
    settings.PUBLIC_URLS = dict.fromkeys(settings.PUBLIC_URLS, "https://x.example.com")
    html = admin_client.get("/admin/find/", {"q": "…00000000 <b>"}).content.decode()
    assert "Nothing here is called" in html
    assert "&lt;b&gt;" in html
    assert html.count("https://x.example.com/admin/find/?q=%E2%80%A600000000+%3Cb%3E") == 3


@pytest.mark.parametrize("word", ["", "\0", "\ud83d", "x" * 5000, "%", "@", "'"])
def test_whatever_is_typed_is_answered(admin_client: Client, word: str) -> None:
    for url, name in (("/admin/find/", "q"), ("/admin/search/?extended=1", "s")):
        assert admin_client.get(url, {name: word.encode("utf-8", "replace")}).status_code in (200, 400)


def test_people_find_what_they_may_see(order: Placed) -> None:
    user, client = User.objects.create_user("bob", is_staff=True), Client()
    client.force_login(user)
    assert "Nothing here is called" in client.get("/admin/find/", {"q": "INV-7"}).content.decode()
    user.user_permissions.add(Permission.objects.get(codename="view_order"))
    assert client.get("/admin/find/", {"q": "INV-7"}).status_code == 302
    client.logout()
    assert "/login/" in client.get("/admin/find/", {"q": "INV-7"})["Location"]


@pytest.mark.parametrize("word", ["ada@example.com", "ada@e"])
@pytest.mark.parametrize("sees", [True, False])
def test_an_email_finds_orders_for_those_who_may_see_it(order: Placed, word: str, sees: bool) -> None:
    """An order's page does not show it; letter by letter its search would tell it."""
    staff = User.objects.create_user("clerk", is_staff=True)
    rights = ["view_order", *(["view_customer"] if sees else [])]
    staff.user_permissions.set(Permission.objects.filter(codename__in=rights))
    client = Client()
    client.force_login(staff)
    address = reverse("admin:order_order_change", args=[order.id])
    html = client.get(reverse("admin:order_order_changelist"), {"q": word}).content.decode()
    assert (address in html) is sees
    found = client.get("/admin/find/", {"q": word})
    assert (address in found.get("Location", found.content.decode())) is sees
