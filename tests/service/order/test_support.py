"""The order's page for support: answers, cancellation and refund with a preview, notes."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.urls import reverse

from celery_config.saga.models import OperatorAction
from order_project.domain import Flow, OrderStatus
from order_project.erasure.data import erase_customer
from order_project.models import Order, OrderNote, Refund
from tests.service.order.conftest import Placed, Shop

pytestmark = pytest.mark.django_db
ALL = (
    "authorize-payment",
    "reserve-stock",
    "book-shipment",
    "capture-payment",
    "commit-stock",
    "dispatch-shipment",
)


@pytest.fixture
def done(placed: Placed) -> Placed:
    """An order that is paid and sent."""
    placed.log_as("done", *ALL)
    placed.set(status="completed", due_at=None)
    Order.objects.filter(pk=placed.id).update(status=OrderStatus.CONFIRMED, tracking_number="SB-1")
    return placed


def page(order: Any, name: str = "change") -> str:
    return reverse(f"admin:order_order_{name}", args=[order])


def read(client: Client, url: str, **form: Any) -> str:
    answer = client.post(url, form, follow=True) if form else client.get(url)
    assert answer.status_code == 200
    return answer.content.decode()


def test_the_page_answers(admin_client: Client, done: Placed) -> None:
    html = read(admin_client, page(done.id))
    assert "Yes, €17.85 was taken." in html
    assert "The tracking number is SB-1." in html
    assert "€2.55" in html, "the price of one"
    assert html.count("€17.85") >= 3, "seven of them, and the total"


def test_a_choreographed_order_is_answered_too(admin_client: Client, shop: Shop) -> None:
    order = shop.place(flow=Flow.CHOREOGRAPHED).order
    assert "No, not yet." in read(admin_client, page(order))


def test_an_order_whose_saga_is_gone_is_shown(admin_client: Client, placed: Placed) -> None:
    Order.objects.filter(pk=placed.id).update(saga=placed.id)
    assert "Was I charged?" not in read(admin_client, page(placed.id))


class TestCancelling:
    def test_shows_first_what_it_would_undo(self, admin_client: Client, placed: Placed) -> None:
        placed.log_as("done", "authorize-payment")
        html = read(admin_client, page(placed.id, "cancel"))
        assert "€17.85" in html
        assert "The customer is not charged." in html
        assert placed.saga.status == "running"

    def test_stops_the_order_and_keeps_name_and_reason_in_the_trail(
        self, admin_client: Client, placed: Placed
    ) -> None:
        html = read(admin_client, page(placed.id, "cancel"), why="she called twice")
        assert (placed.saga.status, placed.saga.cause["reason"]) == ("stopping", "cancelled by us")
        did = OperatorAction.objects.get(subject=str(placed.id))
        assert (did.verb, did.by, did.why) == ("compensate", "admin", "she called twice")
        assert "she called twice" in html, "staff read it in the timeline"

    def test_is_refused_when_it_is_too_late(self, admin_client: Client, done: Placed) -> None:
        assert "give the money back instead" in read(admin_client, page(done.id, "cancel"), why="x")
        shown = read(admin_client, page(done.id, "cancel"))
        assert "is not charged" not in shown
        assert "This will be done" not in shown
        assert done.saga.status == "completed"


def fill(html: str, **more: Any) -> dict[str, Any]:
    """The form of a refund as a browser sends it."""
    hidden = dict(re.findall(r'<input type="hidden" name="(id|confirmed)" value="([^"]*)"', html))
    return {**hidden, **more}


class TestGivingMoneyBack:
    def test_shows_what_would_be_left_and_gives_it_once(self, admin_client: Client, done: Placed) -> None:
        url = page(done.id, "refund")
        asked = fill(read(admin_client, url), amount="5.00", why="a cup was broken")
        preview = read(admin_client, url, **asked)
        assert "€5.00 will be given back to the card, and €12.85 is left then" in preview
        assert not Refund.objects.exists()
        confirmed = fill(preview, amount="5.00", why="a cup was broken")
        for _ in range(2):
            html = read(admin_client, url, **confirmed)
        refund = Refund.objects.get()
        assert (refund.amount, refund.reason, refund.by) == (500, "a cup was broken", "admin")
        assert "€5.00 is being given back." in html

    @pytest.mark.parametrize(
        "amount",
        [
            "0",
            "-1",
            "17.86",
            "1.005",
            "x",
            "1e9",
            "1e0",
            "1_0",
            "\u0662",
            "\uff13.5",
            "1e999999",
            "1e-999999",
            "NaN",
            "Infinity",
        ],
    )
    def test_takes_no_other_amount(self, admin_client: Client, done: Placed, amount: str) -> None:
        url = page(done.id, "refund")
        read(admin_client, url, **fill(read(admin_client, url), amount=amount, why="x", confirmed="yes"))
        assert not Refund.objects.exists()

    def test_is_refused_of_an_order_that_is_not_paid(self, admin_client: Client, placed: Placed) -> None:
        shown = read(admin_client, page(placed.id, "refund"))
        assert "cancel it instead" in shown
        assert "was paid" not in shown


def test_notes_are_kept_with_the_name_and_go_with_the_customer(admin_client: Client, placed: Placed) -> None:
    html = read(admin_client, page(placed.id, "note"), why="She moves on Friday")
    assert "She moves on Friday" in html
    assert OrderNote.objects.get().by == "admin"
    with transaction.atomic():
        erase_customer(placed.order.customer, [placed.id])  # type: ignore[arg-type]
    assert not OrderNote.objects.exists()
