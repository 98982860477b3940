"""A flow's page begins with its story: one sentence, the strip of its steps, the timeline; and it renews itself."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from celery_config.messaging.states import Action, Undo
from celery_config.saga.course import Answer
from celery_config.saga.engine import refusals, runner
from celery_config.saga.engine.machine import StepFailed
from celery_config.saga.operations import barrier_client, operators
from order_project import services
from order_project.domain import Flow
from order_project.erasure import requests
from order_project.models import Choreography, Order
from tests.service.order.conftest import Placed, Shop
from tests.service.order.saga.operations.test_operators import AUTHORIZED, held, park

pytestmark = pytest.mark.django_db


@pytest.fixture
def barrier(monkeypatch: pytest.MonkeyPatch) -> dict[str, Answer]:
    """What the participants answer: nothing came to any of them, unless a test says more."""
    told: dict[str, Answer] = {"payment": {}, "inventory": {}, "shipment": {}}
    monkeypatch.setattr(barrier_client, "read_barrier", lambda service, saga: told[service])
    return told


@pytest.fixture
def silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks a participant fails the test."""

    def refuse(service: str, saga: Any) -> Answer:
        raise AssertionError(f"{service} was asked")

    monkeypatch.setattr(barrier_client, "read_barrier", refuse)


def page(placed: Placed, view: str = "change") -> str:
    return reverse(f"admin:saga_sagainstance_{view}", args=[placed.saga_id])


def shown(client: Client, url: str) -> str:
    answer = client.get(url)
    assert answer.status_code == 200, answer
    return str(answer.content.decode())


def states(html: str) -> list[str]:
    return re.findall(r'class="strip-state">.*?</svg>\s*([a-z ]+?)\s*</span>', html, re.DOTALL)


class TestTheFragment:
    def test_tells_and_draws_the_flow_and_asks_nobody(
        self, admin_client: Client, placed: Placed, silence: None
    ) -> None:
        placed.log_as("done", "authorize-payment")
        html = shown(admin_client, page(placed, "story"))
        assert "On its way: inventory is asked to reserve the stock." in html
        assert states(html) == ["done", "calling now", "not yet", "not yet", "not yet", "not yet"]
        assert html.count("point of no return") == 1
        assert "the order began" in html

    def test_of_a_parked_flow_asks_nobody_either(
        self, admin_client: Client, placed: Placed, silence: None
    ) -> None:
        park(placed)
        html = shown(admin_client, page(placed, "story"))
        assert "payment could not void the payment: void: no such hold #" in html
        assert f'hx-get="{page(placed, "story")}"' in html

    def test_is_not_sent_again_while_nothing_changes(
        self, admin_client: Client, placed: Placed, silence: None
    ) -> None:
        first = admin_client.get(page(placed, "story"))
        again = admin_client.get(page(placed, "story"), headers={"if-none-match": first["ETag"]})
        assert again.status_code == 304

    def test_asks_no_more_when_the_flow_has_ended(self, admin_client: Client, placed: Placed) -> None:
        placed.set(status="completed", due_at=None)
        fragment = shown(admin_client, page(placed, "story"))
        assert "every" not in fragment
        # Once: what stands below the story on the page is read again.
        assert re.findall(r'hx-get="([^"]+)" hx-trigger="load\[', fragment) == [page(placed, "change")]
        assert 'hx-trigger="load' not in shown(admin_client, page(placed, "change"))

    def test_takes_ten_queries_at_most(
        self, placed: Placed, django_assert_max_num_queries: Any, silence: None
    ) -> None:
        park(placed)
        operators.take_over(placed.saga, by="ada", why="mine")
        staff = User.objects.create_user("bob", password="x", is_staff=True)
        staff.user_permissions.set(Permission.objects.filter(codename="view_sagainstance"))
        client = Client()
        client.force_login(staff)
        with django_assert_max_num_queries(10):
            assert "Take over by ada: mine" in shown(client, page(placed, "story"))

    def test_the_whole_page_takes_few_queries(
        self, admin_client: Client, placed: Placed, django_assert_max_num_queries: Any
    ) -> None:
        park(placed)
        operators.take_over(placed.saga, by="ada", why="mine")
        with django_assert_max_num_queries(25):
            assert "aga time now" in shown(admin_client, page(placed, "change"))

    def test_is_for_who_may_see_the_flow(self, placed: Placed) -> None:
        client = Client()
        client.force_login(User.objects.create_user("eve", password="x", is_staff=True))
        assert client.get(page(placed, "story")).status_code == 403

    def test_of_no_flow(self, admin_client: Client) -> None:
        url = reverse("admin:saga_sagainstance_story", args=["00000000-0000-0000-0000-000000000009"])
        assert admin_client.get(url).status_code == 404

    def test_of_a_choreographed_order(self, admin_client: Client, shop: Shop, silence: None) -> None:
        row = Choreography.objects.get(pk=shop.place(flow=Flow.CHOREOGRAPHED).order)
        html = shown(admin_client, reverse("admin:order_choreography_story", args=[row.pk]))
        assert "On its way: payment is asked to authorize the payment." in html
        assert states(html)[0] == "calling now"


class TestWhatSagasAreAbout:
    def test_a_refund_begins_with_its_sagas_story(self, admin_client: Client, shop: Shop) -> None:
        placed = shop.order()
        Order.objects.filter(pk=placed.id).update(status="confirmed")
        refund = services.request_refund(order=placed.id, amount=100, reason="broken", by="ada")
        html = shown(admin_client, reverse("admin:order_refund_change", args=[refund.pk]))
        assert "On its way: payment is asked to refund the payment." in html
        assert reverse("admin:saga_sagainstance_story", args=[refund.saga]) in html

    def test_an_erasure_begins_with_its_sagas_story(self, admin_client: Client, shop: Shop) -> None:
        erasure = requests.request_erasure(customer=shop.customer.pk, by="ada", why="they asked")
        html = shown(admin_client, reverse("admin:order_erasure_change", args=[erasure.pk]))
        assert "payment is asked to forget the payer" in html
        assert states(html) == ["calling now", "not yet", "not yet"]

    def test_is_not_told_to_who_may_not_see_sagas(self, shop: Shop) -> None:
        erasure = requests.request_erasure(customer=shop.customer.pk, by="ada", why="they asked")
        staff = User.objects.create_user("bob", password="x", is_staff=True)
        staff.user_permissions.set(Permission.objects.filter(codename="view_erasure"))
        client = Client()
        client.force_login(staff)
        assert "forget the payer" not in shown(
            client, reverse("admin:order_erasure_change", args=[erasure.pk])
        )


class TestTheLists:
    def test_say_why_in_the_line_of_the_page_with_two_queries_for_all(
        self, admin_client: Client, shop: Shop, django_assert_max_num_queries: Any
    ) -> None:
        for _ in range(4):
            park(shop.order())
        row = Choreography.objects.get(pk=shop.place(flow=Flow.CHOREOGRAPHED).order)
        refused = {"step": "", "code": "out_of_stock", "reason": "too few: 85123A"}
        Choreography.objects.filter(pk=row.pk).update(status="stopping", cause=refused)
        with django_assert_max_num_queries(14):
            html = shown(admin_client, reverse("admin:saga_sagainstance_changelist"))
        assert html.count("payment could not void the payment: void: no such hold #") >= 4
        assert "too few: 85123A" in shown(admin_client, reverse("admin:order_choreography_changelist"))

    def test_a_failed_step_is_no_cause(self, admin_client: Client, placed: Placed) -> None:
        failed = {"step": "reserve-stock", "code": "step_failed", "reason": "reserve-stock failed"}
        placed.set(status="stopping", cause=failed)
        html = shown(admin_client, reverse("admin:saga_sagainstance_changelist"))
        assert "inventory did not reserve the stock" in html
        assert "step_failed" not in html


class TestThePage:
    def test_has_the_recommended_verb_first(
        self, admin_client: Client, placed: Placed, barrier: dict[str, Answer]
    ) -> None:
        park(placed)
        html = shown(admin_client, page(placed))
        verbs = html[html.index('class="verbs"') : html.index('class="strip"')]
        assert verbs.index(page(placed, "retry")) < verbs.index(page(placed, "compensate"))
        assert verbs.count("recommended</small>") == 1
        assert "operations decides about it" in verbs

    def test_recommends_no_verb_that_leads_in_a_circle(
        self, admin_client: Client, placed: Placed, barrier: dict[str, Answer]
    ) -> None:
        park(placed)
        lost = {"code": "step_lost", "reason": "set back"}
        refusals.record_failure(placed.saga_id, "authorize-payment", "undo", lost)
        html = shown(admin_client, page(placed))
        assert "./manage.py payment recover mends it" in html
        assert "recommended</small>" not in html

    def test_says_only_where_a_service_differs_from_the_log_and_as_of_when(
        self, admin_client: Client, placed: Placed, barrier: dict[str, Answer]
    ) -> None:
        runner.handle_trigger(placed.saga_id, StepFailed("reserve-stock", "do"))
        placed.log_as("done", "authorize-payment")
        barrier["payment"] = {"authorize-payment": held(Action.DONE, **AUTHORIZED)}
        html = shown(admin_client, page(placed))
        assert "1 effect not undone or in doubt and no differences from what we know" in html
        assert "as of " in html
        barrier["payment"] = {"authorize-payment": held(Action.DONE, Undo.INTENT, **AUTHORIZED)}
        html = shown(admin_client, page(placed))
        assert "1 difference from what we know" in html
        assert "done; its undo was begun, and its outcome is not known" in html

    def test_asks_by_a_button_where_nobody_has_to_decide(
        self, admin_client: Client, placed: Placed, barrier: dict[str, Answer]
    ) -> None:
        html = shown(admin_client, page(placed))
        assert 'href="?ask=1"' in html
        assert "What the services say" not in html
        assert "What the services say" in shown(admin_client, f"{page(placed)}?ask=1")
