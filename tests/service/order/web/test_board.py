"""The board of the order service: what it shows, to whom, and what a poll costs."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from celery_config.contracts.payment import AuthorizePayment
from celery_config.messaging.models import OutboxMessage
from celery_config.messaging.observations import note, read_observations
from celery_config.saga.models import DeadLetter, SagaClock, SagaInstance, SagaPause, StepTry
from celery_config.saga.operations import overview, services
from celery_config.saga.operations.acts import name_step
from celery_config.saga.operations.overview import Money
from celery_config.saga.operations.wording import STATUS_WORDS
from celery_config.saga.states import Status
from celery_config.saga.sums.writing import sum_up
from celery_config.web.columns import shorten_id
from order_project.choreography.derivation import COLLECTED, RECEIVED, RELEASED
from order_project.domain import Flow
from order_project.models import Choreography, Order, SeenEvent
from tests.bench.pages import MOST, Kind
from tests.service.order.conftest import Placed, Shop

pytestmark = pytest.mark.django_db
MOST_QUERIES = 10
AUTHORIZE = AuthorizePayment.wire_name()
PARTS = (
    "waiting", "requests", "incidents", "proof", "failing", "holds", "batches", "under-way", "oldest", "outcomes",
    "services", "service",
)  # fmt: skip


def read(client: Client, part: str, **query: str) -> str:
    answer = client.get(reverse("admin:board", args=[part]), query)
    assert answer.status_code == 200
    return re.sub(r"\s+", " ", answer.content.decode())


def park(placed: Placed, fingerprint: str = "place-order: no word of its end", **fields: Any) -> None:
    placed.set(
        status="parked", due_at=None, fingerprint=fingerprint, owner="operations",
        answer_by=timezone.now() + timedelta(hours=4), **fields,
    )  # fmt: skip


def place_choreographed(shop: Shop, status: str, *kinds: str) -> Choreography:
    order = Order.objects.get(pk=shop.place(flow=Flow.CHOREOGRAPHED).order)
    row = Choreography.objects.get(pk=order.pk)
    for kind in kinds:
        SeenEvent.objects.create(choreography=row, kind=kind, content={})
    Choreography.objects.filter(pk=row.pk).update(status=status, owner="operations", fingerprint="f")
    return row


@pytest.fixture
def staff() -> Client:
    """Staff with every permission, who are no administrators: their permissions are read, too."""
    user = User.objects.create_user("bob", password="x", is_staff=True)
    user.user_permissions.set(Permission.objects.all())
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def newcomer() -> Client:
    client = Client()
    client.force_login(User.objects.create_user("eve", password="x", is_staff=True))
    return client


class TestWaiting:
    def test_is_shown_by_cause_with_the_money_and_a_way_to_mend_it(
        self, admin_client: Client, shop: Shop
    ) -> None:
        for _ in range(2):
            placed = shop.order()
            placed.log_as("done", "authorize-payment")
            park(placed)
        page = read(admin_client, "waiting")
        assert "place-order: no word of its end" in page
        assert "€35.70 held" in page
        assert "fingerprint=place-order" in page
        assert "Look and mend" in page
        assert '<td data-heading="what">2 sagas</td>' in page

    @pytest.mark.parametrize(
        ("done", "undone", "state"),
        [
            (["authorize-payment"], [], "held"),
            (["authorize-payment", "capture-payment"], [], "taken"),
            ([], [], "in doubt"),
            ([], ["authorize-payment"], ""),
        ],
    )
    def test_money_is_held_taken_or_in_doubt_as_far_as_the_log_knows(
        self, placed: Placed, done: list[str], undone: list[str], state: str
    ) -> None:
        placed.log_as("done", *done)
        placed.log_as("undone", *undone)
        park(placed)
        (waiting,) = overview.read_waiting()
        assert waiting.money == ([Money(state, "EUR", placed.order.total)] if state else [])

    @pytest.mark.parametrize(
        ("seen", "state"),
        [
            ([RECEIVED], "held"),
            ([RECEIVED, COLLECTED], "taken"),
            ([], "in doubt"),
            ([RECEIVED, RELEASED], ""),
        ],
    )
    def test_the_same_of_choreographed_orders(self, shop: Shop, seen: list[str], state: str) -> None:
        row = place_choreographed(shop, "parked", *seen)
        (waiting,) = overview.read_waiting()
        assert waiting.money == ([Money(state, "EUR", row.order.total)] if state else [])

    def test_data_that_cannot_be_read_break_nothing(self, placed: Placed, admin_client: Client) -> None:
        park(placed, data={"amount": "much", "currency": 7})
        assert "no word of its end" in read(admin_client, "waiting")

    def test_counts_dead_letters_that_nobody_has_dealt_with(self, admin_client: Client) -> None:
        DeadLetter.objects.create(reason="rejected", queue="q")
        DeadLetter.objects.create(reason="rejected", queue="q", dealt_with_at=timezone.now())
        assert overview.count_dead_letters()[0] == 1
        page = read(admin_client, "waiting")
        where = re.search(r'href="([^"]*deadletter[^"]*)"', page)
        assert where
        assert len(admin_client.get(where[1]).context["cl"].result_list) == 1


class TestUnderWay:
    def test_counts_both_flows_by_how_they_stand(
        self, placed: Placed, shop: Shop, admin_client: Client
    ) -> None:
        shop.order().set(status="stopping")
        place_choreographed(shop, "running")
        counts = {(each.kind, each.status): each.count for each in overview.read_open_counts()}
        assert counts == {
            ("saga.sagainstance", "running"): 1,
            ("saga.sagainstance", "stopping"): 1,
            ("order.choreography", "running"): 1,
        }
        page = read(admin_client, "under-way")
        assert "1 choreographed order<" in page
        assert "Being cancelled" in page

    def test_shows_what_the_oldest_wait_for(self, placed: Placed, admin_client: Client) -> None:
        placed.log_as("done", "authorize-payment")
        (each,) = overview.read_oldest()
        assert "inventory is asked to reserve the stock" in each.explanation.text
        page = read(admin_client, "oldest")
        assert "inventory is asked to reserve the stock" in page
        assert f"{shorten_id(placed.order.pk)}" in page, "an order is named by its own id, as on its page"

    def test_says_that_saga_time_stands(self, placed: Placed, admin_client: Client) -> None:
        SagaClock.objects.update(ticked_at=timezone.now(), stands_since=timezone.now(), stands_for="broker")
        assert "broker; since" in read(admin_client, "under-way")


class TestOutcomes:
    @pytest.fixture(autouse=True)
    def ended(self, shop: Shop) -> None:
        at = timezone.now()
        for status, order_status, code in (
            ("completed", "confirmed", ""),
            ("compensated", "cancelled", "out_of_stock"),
        ):
            placed = shop.order()
            placed.set(status=status, due_at=None, ended_at=at, cause={"code": code})
            Order.objects.filter(pk=placed.order.pk).update(
                status=order_status, ended_at=at, cancel_code=code
            )
        sum_up()

    @pytest.mark.parametrize("span", ["last_hour", "day", "week", "nonsense"])
    def test_are_bars_that_lead_to_their_orders(self, admin_client: Client, span: str) -> None:
        page = read(admin_client, "outcomes", span=span)
        assert page.count("<rect class=") == 2  # a bar with two parts
        where = re.search(r'<a href="([^"]+)" tabindex="-1"', page)
        assert where
        found = admin_client.get(where[1].replace("&amp;", "&")).context["cl"].result_list
        assert len(found) == 2

    def test_have_a_table_with_the_same_numbers(self, admin_client: Client) -> None:
        page = read(admin_client, "outcomes", form="table")
        assert "<svg" not in page
        (where, *_) = re.findall(r'href="([^"]*ended_at__lt[^"]*)"', page)
        assert admin_client.get(where.replace("&amp;", "&")).status_code == 200

    def test_ends_have_the_words_of_the_lists(self, admin_client: Client) -> None:
        page = read(admin_client, "outcomes")
        for status in (Status.COMPLETED, Status.COMPENSATED):
            assert (
                page.count(f"{STATUS_WORDS[status]}<") + page.count(f"{STATUS_WORDS[status].capitalize()}<")
                >= 2
            )
        assert "ompleted<" not in page

    def test_steps_are_told_by_what_they_do(self, admin_client: Client) -> None:
        assert name_step("reserve-stock") == "reserve the stock"
        assert name_step("of another version") == "of another version"

    def test_causes_lead_to_the_orders_that_they_ended(self, admin_client: Client) -> None:
        page = read(admin_client, "outcomes")
        where = re.search(r'href="([^"]*cancel_code__exact=out_of_stock)"> ?out of stock', page)
        assert where
        found = admin_client.get(where[1].replace("&amp;", "&")).context["cl"].result_list
        assert [order.cancel_code for order in found] == ["out_of_stock"]


class TestServices:
    def test_are_shown_as_the_relay_heard_them(self, admin_client: Client) -> None:
        note(
            services.SERVICES_SEEN,
            {
                "payment": {"flows": True, "relay": "ok: 0.1 s behind"},
                "shipment": {"flows": False, "workers": "none on shipment.commands", "relay": "late: 70 s"},
            },
        )
        note(services.QUEUES_SEEN, {"queues": {"payment.commands": [12, 2], "payment.urgent": [None, 0]}})
        page = read(admin_client, "services")
        assert "workers: none on shipment.commands" in page
        assert "late: 70 s" in page
        assert "not known" in page

    def test_every_queue_is_shown_those_without_a_worker_first(self, admin_client: Client) -> None:
        lengths = {f"q{number}": [number, 1] for number in range(11)}
        note(services.QUEUES_SEEN, {"queues": {**lengths, "idle": [0, 0]}})
        listed = re.findall(r"<th scope=\"row\">(q\d+|idle)</th>", read(admin_client, "services"))
        assert listed == ["idle", *(f"q{number}" for number in reversed(range(11)))]

    def test_a_contradiction_at_another_service_asks_for_somebody(self, admin_client: Client) -> None:
        told = "warning: 2 events from outside in 24 h against what we know"
        note(
            services.SERVICES_SEEN,
            {"payment": {"flows": True, "contradictions": told}, "order": {"flows": True}},
        )
        page = read(admin_client, "waiting")
        assert "at payment" in page
        assert "2 events from outside in 24 h against what we know" in page
        assert (
            f'{settings.PUBLIC_URLS["payment"]}/admin/messaging/contradiction/?dealt_with_at__isempty=1"'
            in page
        )
        assert "at order" not in page

    def test_say_in_words_what_does_not_move(self, admin_client: Client) -> None:
        note(services.SERVICES_SEEN, {"order": {"flows": False, "set_aside": "1 row cannot be sent"}})
        page = read(admin_client, "services")
        assert "set aside: 1 row cannot be sent" in re.sub("<wbr>", "", page)
        assert "set_aside" not in page

    def test_are_not_asked_by_a_poll(self, admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(services, "ask_service", lambda service: 1 / 0)
        assert "Not asked yet" in read(admin_client, "services")

    def test_one_that_is_away_is_noted(self, settings: Any) -> None:
        settings.SERVICE_URLS = dict.fromkeys(settings.SERVICE_URLS, "http://127.0.0.1:1")
        services.look_at_services()
        found = services.list_services(read_observations())
        assert {each.service for each in found} == {*settings.SERVICE_URLS}
        assert all(each.faults == {"service": "does not answer"} for each in found)

    def test_pauses_are_shown(self, admin_client: Client) -> None:
        SagaPause.objects.create(step="capture-payment", by="ada", why="w")
        assert "nothing new that has to capture the payment" in read(admin_client, "under-way")


class TestThePage:
    def test_shows_every_part_and_each_renews_itself(self, admin_client: Client) -> None:
        page = admin_client.get(reverse("admin:index"), {"span": "day"}).content.decode()
        assert set(settings.BOARD) == {*PARTS}
        for part in PARTS:
            assert f'hx-get="/admin/board/{part}/?span=day"' in page

    def test_shows_nothing_that_a_person_may_not_see(
        self, newcomer: Client, placed: Placed, django_assert_max_num_queries: Any
    ) -> None:
        park(placed)
        for part in PARTS:
            assert "<h2>" not in read(newcomer, part)

    def test_folds_what_asks_for_nobody(self, admin_client: Client, placed: Placed) -> None:
        """A phone shows its heading alone."""
        note(services.SERVICES_SEEN, {"payment": {"flows": True}})
        folded = re.compile(r'<details class="fold" id="board-([a-z-]+)-1" open>')
        page = "".join(read(admin_client, part) for part in PARTS)
        assert folded.findall(page) == [
            "requests",
            "proof",
            "failing",
            "holds",
            "batches",
            "oldest",
            "outcomes",
            "services",
            "service",
        ]
        note(services.SERVICES_SEEN, {"payment": {"flows": False}})
        assert not folded.search(read(admin_client, "services"))
        OutboxMessage.objects.create(kind="task", name="x", payload={}, fault="too long")
        assert not folded.search(read(admin_client, "service"))

    def test_has_no_other_part(self, admin_client: Client) -> None:
        assert admin_client.get(reverse("admin:board", args=["other"])).status_code == 404

    def test_is_for_staff(self, client: Client) -> None:
        assert client.get(reverse("admin:board", args=["waiting"])).status_code == 302

    def test_an_unchanged_part_is_not_sent_again(self, admin_client: Client, placed: Placed) -> None:
        for part in PARTS:
            url = reverse("admin:board", args=[part])
            tag = admin_client.get(url)["ETag"]
            assert admin_client.get(url, headers={"if-none-match": tag}).status_code == 304, part


class TestTheSidebar:
    @pytest.fixture(autouse=True)
    def no_badges(self) -> None:
        cache.clear()

    def test_has_a_badge_where_somebody_must_act(self, admin_client: Client, placed: Placed) -> None:
        quiet = admin_client.get(reverse("admin:saga_sagapause_changelist")).content.decode()
        assert ", waiting: " not in quiet
        park(placed)
        cache.clear()
        page = admin_client.get(reverse("admin:saga_sagapause_changelist")).content.decode()
        assert page.count(", waiting: ") == 1

    def test_folds_the_internals_together(self, admin_client: Client) -> None:
        groups = admin_client.get(reverse("admin:index")).context["sidebar_navigation"]
        assert [group["title"] for group in groups][-1] == "Internals"
        assert "Messages to send" in [item["title"] for item in groups[-1]["items"]]
        assert "Sagas" not in [item["title"] for item in groups[-1]["items"]]

    def test_leads_to_each_page(self, admin_client: Client) -> None:
        response = admin_client.get(reverse("admin:index"))
        request = response.wsgi_request
        pages = [
            reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
            for model, page in admin.site._registry.items()
            if page.has_module_permission(request) and page.has_view_permission(request)
        ]
        groups = response.context["sidebar_navigation"]
        links = [str(item["link"]) for group in groups for item in group["items"]]
        assert sorted({*pages} - {*links}) == []
        assert "Batches" in [item["title"] for item in groups[1]["items"]]


def make_failing(shop: Shop) -> None:
    """A flow of each kind under way that fails again and again."""
    for status in ("running", "stopping"):
        shop.order().set(status=status)
        row = place_choreographed(shop, status)
        for flow, step in ((SagaInstance.objects.latest("id").pk, "authorize-payment"), (row.pk, AUTHORIZE)):
            StepTry.objects.create(
                event=uuid4(), flow=flow, step=step, operation="do", number=3, code="error", at=timezone.now(),
                next_at=timezone.now() + timedelta(minutes=1),
            )  # fmt: skip


class TestAPoll:
    @pytest.mark.parametrize("part", PARTS)
    def test_asks_the_database_little(self, staff: Client, shop: Shop, part: str) -> None:
        park(shop.order())
        park(place_choreographed_placed(shop))
        make_failing(shop)
        note(services.SERVICES_SEEN, {"payment": {"flows": True}})
        read(staff, part)
        with CaptureQueriesContext(connection) as asked:
            read(staff, part)
        queries = [each["sql"] for each in asked.captured_queries if "SAVEPOINT" not in each["sql"]]
        assert len(queries) <= MOST_QUERIES, queries

    def test_the_home_reads_once_what_several_parts_show(self, admin_client: Client, shop: Shop) -> None:
        make_failing(shop)
        note(services.SERVICES_SEEN, {"payment": {"flows": True}})
        home = reverse("admin:index")
        admin_client.get(home)
        with CaptureQueriesContext(connection) as asked:
            admin_client.get(home)
        queries = [each["sql"] for each in asked.captured_queries]
        assert len(queries) <= MOST[Kind.PAGE][0], queries
        for table in ("saga_sagaclock", "messaging_observation"):
            assert len([each for each in queries if f'FROM "{table}"' in each]) == 1, table


def place_choreographed_placed(shop: Shop) -> Any:
    """A parked choreographed order, which `park` may set like a saga."""
    row = place_choreographed(shop, "parked")

    class Row:
        def set(self, **fields: Any) -> None:
            Choreography.objects.filter(pk=row.pk).update(**fields)

    return Row()


def test_badges_are_one_query(placed: Placed, django_assert_num_queries: Any) -> None:
    park(placed)
    DeadLetter.objects.create(reason="rejected", queue="q")
    with django_assert_num_queries(1):
        assert overview.count_badges() == {"saga.parkedsaga": 1, "saga.deadletter": 1}


def test_each_read_is_a_query_or_one_for_each_flow(placed: Placed, django_assert_num_queries: Any) -> None:
    SagaInstance.objects.update(status="running")
    for read_it, most in (
        (overview.read_waiting, 1),
        (overview.read_open_counts, 1),
        (overview.read_oldest, 5),
    ):
        with django_assert_num_queries(most):
            read_it()
