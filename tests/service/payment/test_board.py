"""Payment's home: the money that it holds, calls that are open, and the provider's books."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from celery_config.messaging.measures import check_contradictions
from celery_config.messaging.models import BarrierRow, Contradiction
from celery_config.messaging.observations import note
from celery_config.reconciliation.board import check_books
from payment_app.models import Payment

pytestmark = pytest.mark.django_db
MOST_QUERIES = 10


def read(client: Client, part: str = "own") -> str:
    answer = client.get(reverse("admin:board", args=[part]))
    assert answer.status_code == 200
    return answer.content.decode()


def hold(amount: int, currency: str, state: str = "authorized") -> None:
    Payment.objects.create(
        id=uuid4(), order=uuid4(), amount=amount, currency=currency, state=state, provider_id=str(uuid4()),
        captured=amount if state == "captured" else 0, expires_at=timezone.now() + timedelta(days=7),
    )  # fmt: skip


def test_money_that_is_held_is_added_up_in_each_currency(admin_client: Client) -> None:
    for amount, currency, state in (
        (1000, "GBP", "authorized"),
        (250, "GBP", "authorized"),
        (300, "EUR", "authorized"),
        (9900, "EUR", "captured"),
    ):
        hold(amount, currency, state)
    page = read(admin_client)
    assert "£12.50" in page
    assert "€3.00" in page
    assert "2 payments; the first" in page
    assert "1 payment; the first" in page
    assert "99.00" not in page
    assert "state__exact=authorized&amp;currency__exact=GBP" in page
    listed = admin_client.get("/admin/payment/payment/?state__exact=authorized&currency__exact=GBP")
    assert {(row.state, row.currency) for row in listed.context["cl"].result_list} == {("authorized", "GBP")}


def test_only_what_is_held_is_held_until_some_time(admin_client: Client) -> None:
    for state in ("authorized", "captured", "voided"):
        hold(1000, "GBP", state)
    listed = admin_client.get("/admin/payment/payment/").content.decode()
    assert "Held until" in listed
    cells = re.findall(r"field-text_expires_at[^>]*>(.*?)</td>", listed, re.DOTALL)
    assert sorted("<time" in cell for cell in cells) == [False, False, True]
    for payment in Payment.objects.all():
        page = admin_client.get(f"/admin/payment/payment/{payment.pk}/change/").content.decode()
        _, _, after = page.partition("Held until")
        shown = after[: after.index("Created at")]
        assert ("UTC" in shown) == (payment.state == "authorized"), shown


def test_calls_that_are_open_for_long_are_counted(admin_client: Client) -> None:
    for ago in (5, 120):
        BarrierRow.objects.create(
            key=uuid4(), saga=uuid4(), step="s", command="c", action="intent",
            updated_at=timezone.now() - timedelta(seconds=ago),
        )  # fmt: skip
    page = read(admin_client, "service")
    assert "Calls open for more than a minute" in page
    assert "Calls a second to the payment provider" in page
    assert ">1<" in page.replace(" ", "")


def test_the_books_are_shown_and_told_to_the_order_service(admin_client: Client) -> None:
    assert "not compared yet" in read(admin_client)
    assert check_books() == ""
    note("books", {"books": "provider", "checked": 10, "differences": 3})
    assert "3 differences" in read(admin_client)
    assert check_books().startswith("warning: 3 differences from the provider")
    note("books", {"books": "provider", "checked": 10, "differences": 0})
    assert check_books() == "ok"


def test_a_contradiction_that_is_dealt_with_counts_no_more(admin_client: Client) -> None:
    row = Contradiction.objects.create(event="e", kind="k", key=uuid4(), subject=uuid4(), reason="r", told={})
    assert check_contradictions().startswith("warning: 1 event")
    board = read(admin_client, "service")
    (url,) = {*re.findall(r'href="([^"]*/messaging/contradiction/[^"]*)"', board)}
    form = {"action": "deal_with", "_selected_action": str(row.pk)}
    assert "Nothing was changed: say why" in admin_client.post(url, form, follow=True).content.decode()
    assert check_contradictions()
    done = admin_client.post(url, {**form, "why": "their test event"}, follow=True).content.decode()
    assert "1 dealt with" in done
    assert check_contradictions() == ""
    assert Contradiction.objects.values_list("dealt_with_by", "dealt_with_why").get() == (
        "admin", "their test event",
    )  # fmt: skip


@pytest.mark.parametrize("part", ["own", "service"])
def test_a_poll_asks_the_database_little(
    part: str, admin_client: Client, django_assert_max_num_queries: Any
) -> None:
    hold(100, "GBP")
    Contradiction.objects.create(event="e", kind="k", key=uuid4(), subject=uuid4(), reason="r", told={})
    read(admin_client, part)  # what a connection or process asks but once is no part of a poll
    # Two more read the permissions of those who are no administrators.
    with django_assert_max_num_queries(MOST_QUERIES - 2):
        read(admin_client, part)
