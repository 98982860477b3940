"""The admin."""

from __future__ import annotations

import re
from typing import Any, get_args
from uuid import uuid4

import pytest
from django.contrib.admin.models import LogEntry
from django.db import transaction
from django.test import Client
from django.urls import reverse

from celery_config.common.money import money
from celery_config.messaging.models import OutboxMessage
from celery_config.saga import states
from celery_config.saga.engine import machine, runner
from celery_config.saga.engine.machine import StepFailed
from celery_config.saga.models import DeadLetter, SagaInstance, SagaStep
from celery_config.web.lists import BoundedPaginator
from celery_config.web.tokens import issue_token
from order_project.domain import Flow, RequestLine
from order_project.erasure.data import erase_customer
from order_project.models import Customer, Order, Refund, SeenEvent
from tests.service.order.conftest import HEART, Placed, Shop
from tests.service.pages import assert_finds_by_index, assert_reads_little, lists, opened, save_form
from tests.service.together import concurrent, together


@pytest.fixture
def stopped(placed: Placed) -> Placed:
    cause = {"step": "reserve-stock", "code": "out_of_stock", "reason": "too few"}
    runner.handle_trigger(placed.saga_id, StepFailed("reserve-stock", "do"), cause=cause)
    return placed


def shown(client: Client, page: str, pk: Any) -> str:
    answer = client.get(reverse(f"admin:{page}_change", args=[pk]))
    assert answer.status_code == 200
    return answer.content.decode()


@pytest.mark.parametrize("page", lists())
def test_a_list_reads_little(admin_client: Client, shop: Shop, page: str) -> None:
    for order in [shop.order() for _ in range(9)]:
        Refund.objects.create(order=order.order, amount=1, reason="x", saga=uuid4())
        DeadLetter.objects.create(reason="expired", queue="q", consequence="kept", saga=order.saga_id)
    assert_reads_little(admin_client, page)


@pytest.mark.parametrize("page", ["order_order", "order_refund", "saga_sagainstance", "saga_deadletter"])
def test_a_search_finds_by_id(admin_client: Client, placed: Placed, page: str) -> None:
    assert_finds_by_index(admin_client, page, str(placed.saga_id))
    assert "match" in opened(admin_client, page, q=str(uuid4()))[0]


def test_an_amount_without_a_currency_is_shown_as_money_of_the_order(
    admin_client: Client, placed: Placed, shop: Shop
) -> None:
    captured = {"captured_amount": 1999}
    assert SagaStep.objects.filter(saga=placed.saga_id, name="capture-payment").update(reply=captured)
    dancer = shop.place(flow=Flow.CHOREOGRAPHED).order
    SeenEvent.objects.create(choreography_id=dancer, kind="payment.payment_collected", content=captured)
    for page, pk in (("saga_sagainstance", placed.saga_id), ("order_choreography", dancer)):
        assert "<th>captured amount</th><td>€19.99</td>" in shown(admin_client, page, pk)


def test_a_customer_is_added_by_its_form(admin_client: Client) -> None:
    page = reverse("admin:order_customer_add")
    assert admin_client.get(page).status_code == 200
    admin_client.post(page, {"name": "Ada", "email": "ada@example.org"})
    assert Customer.objects.get().name == "Ada"


def read_new_form(client: Client) -> dict[str, str]:
    """What a person sends of the form of a new customer: its hidden id, and a name."""
    page = client.get(reverse("admin:order_customer_add")).content.decode()
    hidden = re.search(r'<input type="hidden" name="id" value="([0-9a-f-]{36})"', page)
    assert hidden
    return {"id": hidden[1], "name": "Ada"}


def test_a_form_that_is_sent_twice_makes_one_customer(admin_client: Client) -> None:
    page, form = reverse("admin:order_customer_add"), read_new_form(admin_client)
    admin_client.post(page, form)
    again = admin_client.post(page, form, follow=True)
    assert again.redirect_chain == [(reverse("admin:order_customer_changelist"), 302)]
    assert "this form has made a customer already" in again.content.decode()
    assert str(Customer.objects.get().pk) == form["id"]
    assert LogEntry.objects.count() == 1
    admin_client.post(page, read_new_form(admin_client))
    assert Customer.objects.count() == 2


def test_a_form_whose_customer_was_erased_makes_nobody(admin_client: Client) -> None:
    page, form = reverse("admin:order_customer_add"), read_new_form(admin_client)
    admin_client.post(page, form)
    customer = Customer.objects.get()
    with transaction.atomic():
        erase_customer(customer, [])
    assert admin_client.post(page, form).status_code == 302
    assert not Customer.objects.exists()


@concurrent
def test_a_form_that_is_sent_twice_at_once_makes_one_customer(admin_client: Client) -> None:
    page, form = reverse("admin:order_customer_add"), read_new_form(admin_client)
    twin = Client()
    twin.cookies = admin_client.cookies
    first, second = together(lambda: admin_client.post(page, form), lambda: twin.post(page, form))
    assert (first.status_code, second.status_code) == (302, 302)
    assert str(Customer.objects.get().pk) == form["id"]


KEPT = {"name": "Ada", "line1": "1 Main St", "city": "Denver", "postal_code": "80202", "country": "US"}


def test_a_kept_address_is_completed_when_its_customer_is_edited(admin_client: Client) -> None:
    customer = Customer.objects.create(name="Ada", billing_address=KEPT)
    page = reverse("admin:order_customer_change", args=[customer.pk])
    fields = {"name": "Ada", **{f"billing_address_{part}": text for part, text in KEPT.items()}}
    form = shown(admin_client, "order_customer", customer.pk)
    label = re.search(r'<label [^>]*for="(\w+)">Postal code</label>', form)
    assert label
    assert re.search(rf'name="billing_address_postal_code" value="80202" [^>]*id="{label[1]}"', form)
    refused = save_form(admin_client, page, fields)
    errors = refused.context["adminform"].form.errors
    assert errors == {"billing_address": ["Region: This field is required in an address of US."]}
    answer = save_form(
        admin_client, page, {**fields, "billing_address_region": "CO", "billing_address_line2": ""}
    )
    assert answer.status_code == 302
    customer.refresh_from_db()
    assert (customer.billing_address, customer.delivery_address) == ({**KEPT, "region": "CO"}, None)


def test_an_order_shows_what_its_address_lacks(admin_client: Client, placed: Placed) -> None:
    assert "incomplete" not in shown(admin_client, "order_order", placed.id)
    Order.objects.update(address={**KEPT, "line1": "", "line2": "Flat 3"})
    page = shown(admin_client, "order_order", placed.id)
    assert "Flat 3" in page
    assert "incomplete: line1 and region missing" in page
    Order.objects.update(customer=None)  # erased
    assert "incomplete" not in shown(admin_client, "order_order", placed.id)


def test_an_order_says_that_its_customer_was_forgotten_only_if_they_were(
    admin_client: Client, placed: Placed
) -> None:
    assert "they were forgotten" not in shown(admin_client, "order_order", placed.id)
    Order.objects.update(customer=None)
    assert "they were forgotten" in shown(admin_client, "order_order", placed.id)


@pytest.mark.parametrize(("most", "words"), [(1, "over 1"), (2, "2")])
def test_a_list_that_was_not_counted_to_its_end_says_so(
    admin_client: Client, shop: Shop, monkeypatch: pytest.MonkeyPatch, most: int, words: str
) -> None:
    """In the count below the list, and beside the search."""
    for _ in range(2):
        shop.order()
    monkeypatch.setattr(BoundedPaginator, "max_count", most)
    html = re.sub(r"\s+", " ", opened(admin_client, "order_order", status__exact="placed")[0])
    assert f" {words} orders " in html
    assert f"{words} results" in html
    assert ("There are more rows" in html) == (most == 1)


@pytest.mark.parametrize("word", ["ada@example", "{id}", "{saga}", "no-such-reference"])
def test_an_order_is_found_by_what_its_box_names(admin_client: Client, placed: Placed, word: str) -> None:
    html, _ = opened(admin_client, "order_order", q=word.format(id=placed.id, saga=placed.saga_id))
    assert (f'title="{placed.id}"' in html) == (word != "no-such-reference")


@pytest.mark.parametrize(
    ("page", "query"),
    [
        ("order_order", {"cancel_code__icontains": "stock"}),
        ("order_order", {"status__exact": "cancelled"}),
        ("saga_sagainstance", {"definition": "place-order@2"}),
        ("saga_sagainstance", {"status__exact": "parked"}),
    ],
)
def test_a_list_is_filtered(admin_client: Client, placed: Placed, page: str, query: dict[str, str]) -> None:
    assert str(placed.id) in opened(admin_client, page)[0]
    assert str(placed.id) not in opened(admin_client, page, **query)[0]


def test_the_order_page_reads_as_people_do(admin_client: Client, placed: Placed) -> None:
    html = shown(admin_client, "order_order", placed.id)
    assert money(placed.order.total, "EUR") in html
    assert f">{placed.order.total}<" not in html
    assert "Ada<br>1 High St<br>London" in html
    assert reverse("admin:saga_sagainstance_change", args=[placed.saga_id]) in html


def test_the_order_page_says_which_price_was_agreed(admin_client: Client, shop: Shop) -> None:
    lines = tuple(RequestLine(sku=HEART, quantity=1, unit_price=price) for price in (199, None))
    html = shown(admin_client, "order_order", shop.place(lines=lines).order)
    assert html.index("1.99") < html.index("agreed") < html.index("2.55")


def test_the_saga_page_tells_the_two_clocks_apart(admin_client: Client, placed: Placed) -> None:
    html = shown(admin_client, "saga_sagainstance", placed.saga_id)
    assert html.count("(saga time)") == 3
    assert f"{placed.saga.deadline_at:%H:%M:%S}" in html


def test_the_saga_page_leaves_out_what_is_empty(admin_client: Client, placed: Placed) -> None:
    runner.request_stop(placed.saga_id, code="cancelled", reason="by ada")
    html = shown(admin_client, "saga_sagainstance", placed.saga_id)
    assert "<th>code</th><td>cancelled</td>" in html
    assert "<th>step</th>" not in html


def test_the_saga_page_keeps_what_is_private(admin_client: Client, placed: Placed) -> None:
    html = shown(admin_client, "saga_sagainstance", placed.saga_id)
    assert "London" in html
    assert not [word for word in ("tok_visa", "1 High St", "SW1") if word in html]
    assert money(placed.order.total, "EUR") in html
    assert reverse("admin:order_order_change", args=[placed.id]) in html


def test_the_outbox_page_keeps_what_is_private(admin_client: Client, placed: Placed) -> None:
    html = shown(admin_client, "messaging_outboxmessage", OutboxMessage.objects.get(saga=placed.saga_id).pk)
    assert "authorize_payment" in html
    assert not [word for word in ("tok_visa", "1 High St", "SW1") if word in html]


def test_the_outbox_page_sends_again_what_was_set_aside(admin_client: Client, placed: Placed) -> None:
    row = OutboxMessage.objects.get(saga=placed.saga_id)
    OutboxMessage.objects.filter(pk=row.pk).update(fault="501 FRAME_ERROR")
    html, _ = opened(admin_client, "messaging_outboxmessage", set_aside="yes")
    assert "501 FRAME_ERROR" in html
    page = reverse("admin:messaging_outboxmessage_changelist")
    act = {"action": "send_again", "_selected_action": row.pk}
    for why in ("", "\u3164"):
        admin_client.post(page, {**act, "why": why})
    assert OutboxMessage.objects.get(pk=row.pk).fault
    admin_client.post(page, {**act, "why": "it fits now"})
    assert OutboxMessage.objects.get(pk=row.pk).fault is None
    assert "it fits now" in LogEntry.objects.get().change_message


def test_decisions_read_as_words(admin_client: Client, stopped: Placed) -> None:
    html = shown(admin_client, "saga_sagainstance", stopped.saga_id)
    assert "A step failed (reserve the stock); from now on being cancelled; the undos were sent" in html


@pytest.mark.parametrize("kind", [*get_args(machine.Trigger), *get_args(machine.Send)])
def test_whatever_is_decided_has_words(kind: type) -> None:
    fields = {"step": "book", "operation": "do", "outcome": states.StepState.DONE}
    said = str(kind(**{name: value for name, value in fields.items() if name in kind.__dataclass_fields__}))
    assert kind.__name__ not in said


def test_times_have_seconds(admin_client: Client, placed: Placed) -> None:
    at = SagaInstance.objects.get(pk=placed.saga_id).started_at
    assert f"{at:%H:%M:%S}" in opened(admin_client, "saga_sagainstance")[0]


@pytest.mark.parametrize(
    ("page", "says"),
    [
        ("saga_deadletter", "you cannot add one"),
        ("order_refund", "The act is on the page of an order."),
        ("messaging_inboxentry", "you cannot add one"),
    ],
)
def test_an_empty_list_offers_nothing_to_create(
    admin_client: Client, shop: Shop, page: str, says: str
) -> None:
    html, _ = opened(admin_client, page)
    assert says in html
    assert "Create" not in html


def test_the_services_own_pages_come_first(admin_client: Client, shop: Shop) -> None:
    answer = admin_client.get(reverse("admin:index"))
    apps = [app["app_label"] for app in answer.context["app_list"]]
    assert apps == ["order", "saga", "notifications", "copies", "messaging", "auth", "api"]
    assert answer.context["app_list"][0]["models"][0]["object_name"] == "Desk"
    named = [(app["name"], model["name"]) for app in answer.context["app_list"] for model in app["models"]]
    assert ("Orchestration", "Sagas") in named


def test_every_service_has_an_icon(client: Client) -> None:
    answer = client.get("/favicon.ico", follow=True)
    assert answer.redirect_chain == [("/static/order_saga/order.svg", 302)]
    assert (answer.status_code, answer["Content-Type"]) == (200, "image/svg+xml")


def test_the_list_of_tokens_shows_none(admin_client: Client, admin_user: Any) -> None:
    row, token = issue_token(admin_user, "till")
    html, _ = opened(admin_client, "api_usertoken")
    html += admin_client.get(reverse("admin:api_usertoken_change", args=[row.pk])).content.decode()
    html += admin_client.get(reverse("admin:api_usertoken_delete", args=[row.pk])).content.decode()
    assert (admin_user.username in html, "till" in html) == (True, True)
    assert (token in html, token[:8] in html, row.digest in html) == (False, False, False)


def test_pages_name_countries_and_flows_in_words(admin_client: Client, placed: Placed) -> None:
    page = shown(admin_client, "order_order", placed.id)
    assert "United Kingdom (GB)" in page
    assert f"Order …{str(placed.id)[-8:]}" in page
    saga = shown(admin_client, "saga_sagainstance", placed.saga_id)
    assert "place order, version 1" in saga
    assert f"Place order …{str(placed.id)[-8:]}" in saga
    assert "place-order" not in saga.partition("<main")[2].partition('id="steps-group"')[0]


def test_no_link_stands_in_another(admin_client: Client, shop: Shop) -> None:
    """A browser makes two of them, and the outer one is empty."""
    shop.place(flow=Flow.CHOREOGRAPHED)
    html, _ = opened(admin_client, "order_choreography")
    assert not re.search(r"<a [^>]*>(?:(?!</a>).)*<a ", html.partition('id="result_list"')[2], re.DOTALL)
