"""The operators' pages: each shows first what it would do, acts only on a POST that says why, and never breaks."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.cache import cache
from django.db import connection
from django.db.models import JSONField, Value
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse, reverse_lazy
from django.utils import timezone

from celery_config.common.money import money
from celery_config.http.service_client import ServiceCallError
from celery_config.messaging.states import Action, Undo
from celery_config.saga.admin import bulk_actions
from celery_config.saga.batches.models import Batch
from celery_config.saga.course import Answer
from celery_config.saga.engine import runner
from celery_config.saga.engine.machine import StepFailed
from celery_config.saga.models import OperatorAction, SagaInstance, SagaPause
from celery_config.saga.operations import barrier_client, operators, pauses
from order_project.domain import Flow
from order_project.models import Choreography
from tests.service.order.conftest import Placed, Shop
from tests.service.order.saga.engine.test_runner import DRIVE, STOP
from tests.service.order.saga.operations.test_operators import AUTHORIZED, held, park
from tests.service.pages import opened

pytestmark = pytest.mark.django_db
LIST = "saga_sagainstance"
VERB_PAGES = ("retry", "compensate", "resume", "take_over", "settle_by_hand")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The participants that were asked; each says that nothing came to it."""
    services: list[str] = []

    def read_barrier(service: str, saga: Any) -> Answer:
        services.append(service)
        return {}

    monkeypatch.setattr(barrier_client, "read_barrier", read_barrier)
    return services


@pytest.fixture
def barrier(monkeypatch: pytest.MonkeyPatch) -> dict[str, Answer]:
    """What the participants answer; payment holds money whose void is in doubt."""
    told: dict[str, Answer] = {
        "payment": {"authorize-payment": held(Action.DONE, Undo.INTENT, **AUTHORIZED)},
        "inventory": {},
        "shipment": {},
    }
    monkeypatch.setattr(barrier_client, "read_barrier", lambda service, saga: told[service])
    return told


@pytest.fixture
def parked(placed: Placed) -> Placed:
    park(placed)
    return placed


@pytest.fixture
def reader() -> Client:
    """Staff who may look at sagas, and no more."""
    user = User.objects.create_user("bob", password="x", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=["view_sagainstance", "view_sagapause"]))
    client = Client()
    client.force_login(user)
    return client


def page(placed: Placed, verb: str = "change") -> str:
    return reverse(f"admin:saga_sagainstance_{verb}", args=[placed.saga_id])


def shown(client: Client, url: str) -> str:
    answer = client.get(url)
    assert answer.status_code == 200, answer
    return str(answer.content.decode())


def said(client: Client, url: str, **form: Any) -> str:
    """What the page to which a POST leads says."""
    answer = client.post(url, form, follow=True)
    assert answer.status_code == 200
    return str(answer.content.decode())


class TestTheSagaPage:
    def test_of_a_parked_saga_shows_owner_due_time_and_each_effect(
        self, admin_client: Client, parked: Placed, barrier: dict[str, Answer]
    ) -> None:
        """Rule 25."""
        barrier["shipment"] = None
        parked.set(answer_by=timezone.now() - timedelta(hours=2))
        html = shown(admin_client, page(parked))
        for words in ("operations", "overdue", money(1785, "EUR"), "2 Jan 2030", "its undo was begun"):
            assert words in html
        assert "shipment does not answer" in html
        assert "what we know of it: not known yet" in html
        assert "book the shipment" in html
        assert "book-shipment" not in html.partition("<fieldset")[0]

    @pytest.mark.parametrize("status", ["completed", "compensated", "running", "forward"])
    def test_asks_nobody_where_nobody_decides(
        self, admin_client: Client, placed: Placed, asked: list[str], status: str
    ) -> None:
        ended = status in ("completed", "compensated")
        placed.set(status=status, **({"due_at": None} if ended else {}))
        html = shown(admin_client, page(placed))
        assert not asked
        assert 'id="standing"' not in html

    def test_of_a_stopping_saga_asks_each_participant_once(
        self, admin_client: Client, placed: Placed, asked: list[str]
    ) -> None:
        runner.handle_trigger(placed.saga_id, StepFailed("reserve-stock", "do"))
        shown(admin_client, page(placed))
        assert sorted(asked) == ["inventory", "payment", "shipment"]

    def test_of_a_version_that_this_code_does_not_know_says_so(
        self, admin_client: Client, parked: Placed
    ) -> None:
        parked.set(version=99)
        assert "version 99 is unknown" in shown(admin_client, page(parked))
        for verb in VERB_PAGES:
            assert admin_client.get(page(parked, verb), follow=True).status_code == 200

    @pytest.mark.parametrize(
        ("status", "fitting"),
        [
            ("running", {"retry", "compensate"}),
            ("stopping", {"retry", "compensate", "settle_by_hand"}),
            ("forward", {"retry", "resume", "settle_by_hand"}),
            ("parked", set(VERB_PAGES)),
            ("completed", set()),
        ],
    )
    def test_has_buttons_for_the_verbs_that_fit(
        self, admin_client: Client, placed: Placed, asked: list[str], status: str, fitting: set[str]
    ) -> None:
        placed.set(status=status, **({"due_at": None} if status == "completed" else {}))
        html = shown(admin_client, page(placed))
        assert {verb for verb in VERB_PAGES if f'href="{page(placed, verb)}"' in html} == fitting

    def test_has_no_buttons_for_who_may_only_look(
        self, reader: Client, parked: Placed, barrier: dict[str, Answer]
    ) -> None:
        html = shown(reader, page(parked))
        assert money(1785, "EUR") in html
        for verb in VERB_PAGES:
            assert page(parked, verb) not in html
            assert reader.get(page(parked, verb)).status_code == 403
            assert reader.post(page(parked, verb), {"why": "x", "seen": "parked"}).status_code == 403
        assert parked.saga.status == "parked"


class TestAVerbsPage:
    def test_tells_what_would_happen_and_changes_nothing(
        self, admin_client: Client, parked: Placed, barrier: dict[str, Answer]
    ) -> None:
        barrier["shipment"] = None
        html = shown(admin_client, page(parked, "retry"))
        for words in (
            "If payment did not capture the payment", "If payment did capture the payment", "void the payment",
            "The order is finished", "Everything is undone", "waits for a decision", "being cancelled",
            "its undo was begun", "does not answer", money(1785, "EUR"), "2 Jan 2030",
        ):  # fmt: skip
            assert words in html
        assert (
            html.index("cancel the shipment")
            < html.index("void the payment")
            < html.index("commit the stock")
        )
        assert (parked.saga.status, OperatorAction.objects.count()) == ("parked", 0)

    def test_then_does_it_and_returns_to_the_saga(
        self, admin_client: Client, parked: Placed, barrier: dict[str, Answer]
    ) -> None:
        answer = admin_client.post(page(parked, "retry"), {"why": "provider is back", "seen": "parked"})
        assert (answer.status_code, answer["Location"]) == (302, page(parked))
        assert parked.chains[-1] == STOP
        done = OperatorAction.objects.get()
        assert (done.verb, done.by, done.why) == ("retry", "admin", "provider is back")
        html = shown(admin_client, page(parked))
        sent = "find out whether payment did capture the payment, and stop it if not"
        assert f"Bring to an end: {parked.saga}: waits for a decision → being cancelled; sent: {sent}" in html
        assert "Watch here what becomes of it." in html

    @pytest.mark.parametrize("why", ["", "   "])
    def test_wants_a_reason(
        self, admin_client: Client, parked: Placed, barrier: dict[str, Answer], why: str
    ) -> None:
        assert "This field is required" in said(admin_client, page(parked, "retry"), why=why, seen="parked")
        assert parked.saga.status == "parked"

    def test_shows_again_what_has_moved_meanwhile(
        self, admin_client: Client, placed: Placed, barrier: dict[str, Answer]
    ) -> None:
        """Who saw what a retry does to a running saga did not see what it does to a stopping one."""
        runner.handle_trigger(placed.saga_id, StepFailed("reserve-stock", "do"))
        html = said(admin_client, page(placed, "retry"), why="stuck", seen="running")
        assert "it is “being cancelled” meanwhile" in html
        assert 'name="seen" value="stopping"' in html
        assert (placed.chains, OperatorAction.objects.count()) == ([DRIVE, STOP], 0)

    def test_says_why_it_would_be_refused_and_has_no_button_then(
        self, admin_client: Client, parked: Placed, barrier: dict[str, Answer]
    ) -> None:
        html = shown(admin_client, page(parked, "resume"))
        assert "It would be refused: only a saga that is known to be past its point of no return" in html
        assert 'name="why"' not in html

    @pytest.mark.parametrize("verb", ["retry", "compensate", "resume"])
    def test_a_refusal_is_a_message(
        self, admin_client: Client, placed: Placed, barrier: dict[str, Answer], verb: str
    ) -> None:
        placed.set(status="compensated", due_at=None)
        html = said(admin_client, page(placed, verb), why="x", seen="compensated")
        assert "Nothing was changed: the saga has ended: cancelled, everything undone" in html

    def test_resume_forward(self, admin_client: Client, parked: Placed, barrier: dict[str, Answer]) -> None:
        barrier["payment"] = {"capture-payment": held(Action.DONE, payment="x", captured_amount=1785)}
        assert "commit the stock" in shown(admin_client, page(parked, "resume"))
        said(admin_client, page(parked, "resume"), why="captured, says payment", seen="parked")
        assert parked.saga.status == "forward"

    def test_take_over(self, admin_client: Client, parked: Placed, barrier: dict[str, Answer]) -> None:
        assert "in the place of operations" in shown(admin_client, page(parked, "take_over"))
        assert parked.saga.owner == "operations"
        assert "owner operations to admin" in said(admin_client, page(parked, "take_over"), why="mine")
        assert parked.saga.owner == "admin"

    @pytest.mark.parametrize("verb", VERB_PAGES)
    @pytest.mark.parametrize("saga", ["00000000-0000-0000-0000-000000000009", "no-id"])
    def test_of_no_saga(self, admin_client: Client, verb: str, saga: str) -> None:
        url = reverse(f"admin:saga_sagainstance_{verb}", args=[saga])
        assert "doesn’t exist" in admin_client.get(url, follow=True).content.decode()

    @pytest.mark.parametrize("verb", VERB_PAGES)
    def test_a_post_without_its_token_is_none(self, admin_user: User, parked: Placed, verb: str) -> None:
        client = Client(enforce_csrf_checks=True)
        client.force_login(admin_user)
        assert client.post(page(parked, verb), {"why": "x", "seen": "parked"}).status_code == 403


class TestSettlingByHand:
    def test_offers_the_open_calls_with_an_example(
        self, admin_client: Client, parked: Placed, barrier: dict[str, Answer]
    ) -> None:
        barrier["shipment"] = {"book-shipment": held(Action.INTENT)}
        html = shown(admin_client, page(parked, "settle_by_hand"))
        assert 'value="authorize-payment undo"' in html
        assert 'value="book-shipment do"' in html
        assert "tracking_number" in html
        assert "book the shipment, refused" in html
        assert "authorize the payment, refused" not in html
        assert 'value="reserve-stock' not in html

    def test_hands_on_what_the_human_says(
        self, admin_client: Client, parked: Placed, barrier: dict[str, Answer], settlements: list[Any]
    ) -> None:
        form = {"intent": "authorize-payment undo", "answer": "{}", "why": "their support says so"}
        html = said(admin_client, page(parked, "settle_by_hand"), **form)
        settlement = (parked.saga_id, "authorize-payment", "undo", {}, "their support says so (admin)")
        assert settlements == [settlement]
        assert "is undone, says a human" in html
        assert OperatorAction.objects.get().verb == "settle by hand"

    @pytest.mark.parametrize(
        "answer", ["", "[]", "7", "nonsense", '{"a": NaN}', '{"a": 1e999}', '{"a": 1, "a": 2}']
    )
    def test_wants_an_object(
        self, admin_client: Client, parked: Placed, barrier: dict[str, Answer], answer: str
    ) -> None:
        form = {"intent": "authorize-payment undo", "answer": answer, "why": "x"}
        assert "errors" in said(admin_client, page(parked, "settle_by_hand"), **form)
        assert not OperatorAction.objects.exists()

    def test_a_silent_participant_is_a_message(
        self, admin_client: Client, parked: Placed, barrier: dict[str, Answer], monkeypatch: Any
    ) -> None:
        def settle(*_: Any, **__: Any) -> str:
            raise ServiceCallError("payment does not answer at http://127.0.0.1:8002")

        monkeypatch.setattr(barrier_client, "send_settlement", settle)
        form = {"intent": "authorize-payment undo", "answer": "{}", "why": "x"}
        html = said(admin_client, page(parked, "settle_by_hand"), **form)
        assert "Nothing was changed: payment does not answer" in html

    def test_has_no_form_where_nothing_is_in_doubt(
        self, admin_client: Client, parked: Placed, asked: list[str]
    ) -> None:
        html = shown(admin_client, page(parked, "settle_by_hand"))
        assert "nothing is in doubt there" in html
        assert 'name="answer"' not in html


class TestParked:
    def test_groups_lead_to_their_sagas(self, admin_client: Client, shop: Shop) -> None:
        many, one = [shop.order() for _ in range(3)], shop.order()
        for placed in many:
            park(placed)
        park(one, reason="void: wrong key")
        operators.take_over(many[0].saga, by="ada", why="mine")
        one.set(answer_by=timezone.now() - timedelta(minutes=5))
        answer = admin_client.get(reverse("admin:saga_parkedsaga_changelist"))
        first, second = [[cell for _, cell in row] for row in answer.context["table"]["rows"]]
        assert (first[1], first[2], first[5], second[2]) == ("saga", 3, "ada, operations", 1)
        assert re.search(r">[\d.]+ s ago<", str(second[3]))
        assert re.search(r"5 min( \d+ s)? ago", str(second[4]))
        assert ("overdue" in str(first[4]), "overdue" in str(second[4])) == (False, True)
        query = {"fingerprint": one.saga.fingerprint, "status__exact": "parked"}
        html, _ = opened(admin_client, LIST, **query)
        assert str(one.id) in html
        assert not [placed for placed in many if str(placed.id) in html]

    def test_is_in_the_sidebar_beside_the_sagas(self, admin_client: Client, shop: Shop) -> None:
        html = shown(admin_client, reverse("admin:index"))
        assert reverse("admin:saga_parkedsaga_changelist") in html
        assert "Nothing waits for a decision" in shown(
            admin_client, reverse("admin:saga_parkedsaga_changelist")
        )

    def test_is_for_who_may_see_sagas(self, reader: Client, shop: Shop) -> None:
        url = reverse("admin:saga_parkedsaga_changelist")
        assert reader.get(url).status_code == 200
        User.objects.get(username="bob").user_permissions.clear()
        assert reader.get(url).status_code == 403

    def test_the_filter_reads_only_what_is_parked(self, admin_client: Client, shop: Shop) -> None:
        park(shop.order())
        _, statements = opened(admin_client, LIST)
        (grouped,) = [s for s in statements if "GROUP BY" in s]
        assert "\"status\" = 'parked'" in grouped
        assert "ORDER BY" not in grouped


class TestSeveralAtOnce:
    URL = reverse_lazy("admin:saga_sagainstance_changelist")

    def choose(self, *placed: Placed, action: str, **form: str) -> dict[str, Any]:
        return {"action": action, "_selected_action": [str(p.saga_id) for p in placed], **form}

    def test_asks_why_then_shows_what_became_of_each(self, admin_client: Client, shop: Shop) -> None:
        one, two, ended = (shop.order() for _ in range(3))
        park(one)
        park(two)
        ended.set(status="compensated", due_at=None)
        asking = said(admin_client, self.URL, **self.choose(one, two, ended, action="retry_each"))
        assert "1 would be refused" in asking
        assert "The saga has ended: cancelled, everything undone." in asking
        assert (one.saga.status, OperatorAction.objects.count()) == ("parked", 0)
        form = self.choose(one, two, ended, action="retry_each", confirmed="yes", why="provider is back")
        html = said(admin_client, self.URL, **form)
        assert (one.saga.status, two.saga.status, ended.saga.status) == (
            "stopping",
            "stopping",
            "compensated",
        )
        assert (
            f"Nothing was changed of 1 saga: the saga has ended: cancelled, everything undone ({ended.saga})"
            in html
        )
        assert "Bring to an end: 2 sagas: waits for a decision → being cancelled" in html
        assert {(a.saga_id, a.verb, a.why) for a in OperatorAction.objects.all()} == {
            (p.saga_id, "retry", "provider is back") for p in (one, two)
        }

    def test_leads_to_the_list_of_what_was_acted_on(self, admin_client: Client, shop: Shop) -> None:
        chosen, other = [shop.order(), shop.order()], shop.order()
        for placed in (*chosen, other):
            park(placed)
        form = self.choose(*chosen, action="retry_each", confirmed="yes", why="provider is back")
        answer = admin_client.post(self.URL, form)
        operators.perform(other.saga, "retry", by="ada", why="another act")
        page = admin_client.get(answer["Location"])
        assert {row.pk for row in page.context["cl"].result_list} == {p.saga_id for p in chosen}
        told = re.sub(r"<[^>]+>", "", page.content.decode())
        assert re.search(r"What became of 2 sagas:\s+2\s+being cancelled", told)
        (fragment,) = re.findall(r'id="acted" data-live hx-get="([^"]+)"', page.content.decode())
        chosen[0].set(status="compensated", due_at=None)
        again = shown(admin_client, fragment)
        assert "cancelled, everything undone" in again
        # The rows below are asked for when the counts have changed.
        assert f'hx-get="{answer["Location"]}"' in again
        assert 'hx-select="#result_list"' in again
        assert 'hx-select="#result_list"' not in page.content.decode()
        chosen[1].set(status="parked", due_at=None)
        assert "data-live" not in shown(admin_client, fragment)

    def test_that_list_costs_few_statements(self, admin_client: Client, shop: Shop) -> None:
        chosen = [shop.order() for _ in range(4)]
        for placed in chosen:
            park(placed)
        form = self.choose(*chosen, action="retry_each", confirmed="yes", why="provider is back")
        where = admin_client.post(self.URL, form)["Location"]
        shown(
            admin_client, where
        )  # the messages are read but once, and the sidebar's numbers are kept for a while
        with CaptureQueriesContext(connection) as asked:
            shown(admin_client, where)
        assert len(asked) <= 10, asked.captured_queries

    def test_acts_on_no_flow_are_left_out(self, admin_client: Client, placed: Placed) -> None:
        pauses.pause(saga="place-order", by="ada", why="x")
        act = OperatorAction.objects.get().pk
        page = admin_client.get(self.URL, {"acted": f"{act}-{act}"})
        assert (page.status_code, len(page.context["cl"].result_list)) == (200, 0)

    @pytest.mark.parametrize("acts", ["1-2-3", "x", "1", "9" * 40 + "-1", "7-3", "-", "a/b"])
    def test_another_address_shows_none(self, admin_client: Client, placed: Placed, acts: str) -> None:
        page = admin_client.get(self.URL, {"acted": acts})
        assert (page.status_code, len(page.context["cl"].result_list)) == (200, 0)

    def test_without_a_reason_nothing_is_done(self, admin_client: Client, placed: Placed) -> None:
        form = self.choose(placed, action="compensate_each", confirmed="yes", why=" ")
        assert "This field is required" in said(admin_client, self.URL, **form)
        assert placed.saga.status == "running"

    def test_is_not_offered_to_who_may_only_look(self, reader: Client, placed: Placed) -> None:
        html, _ = opened(reader, LIST)
        assert "compensate_each" not in html
        said(reader, self.URL, **self.choose(placed, action="compensate_each", confirmed="yes", why="x"))
        assert placed.saga.status == "running"


class TestAllOfACause:
    """From the board to the list of a cause, to the verb for all of it, to the confirmation: three clicks."""

    @pytest.fixture
    def alike(self, shop: Shop) -> list[Placed]:
        """Two whose void failed, and one more whose money payment has taken, as its barrier's events say."""
        found = [shop.order() for _ in range(3)]
        for placed in found:
            placed.log_as("done", "authorize-payment")
            park(placed)
        found[0].log_as("undone", "capture-payment")
        found[1].log_as("undone", "capture-payment")
        return found

    def preview(self, client: Client, *, by: str = "Bring to an end: all") -> tuple[str, str]:
        """Go from the board to the page that asks why; return its address and what it says."""
        board = shown(client, reverse("admin:board", args=["waiting"]))
        listed = shown(client, follow(board, "Look and mend"))
        address = follow(listed, by)
        return address, shown(client, address)

    def test_is_one_button_then_a_reason(self, admin_client: Client, alike: list[Placed]) -> None:
        address, page = self.preview(admin_client, by="Bring to an end: all 3 <small>recommended")
        assert '<form method="post" class="act-bar">' in page, "it is as wide as the table that it covers"
        keys = re.findall(r'name="_selected_action" value="([^"]+)"', page)
        html = said(admin_client, address, confirmed="yes", why="provider is back", _selected_action=keys)
        assert [placed.saga.status for placed in alike] == ["stopping"] * 3
        assert OperatorAction.objects.filter(why="provider is back").count() == 3
        assert "What became of 3 sagas" in html

    def test_says_what_would_become_of_how_many_and_of_their_money(
        self, admin_client: Client, alike: list[Placed], asked: list[str]
    ) -> None:
        _, page = self.preview(admin_client)
        held, one = money(3570, "EUR"), money(1785, "EUR")
        assert f"2 would be cancelled; {held} is held and would be let go." in page
        assert "Everything is undone, and the order is cancelled." in page
        assert f"1 would be cancelled or finished; {one} is held." in page
        assert "If payment did capture the payment: the order is finished." in page
        assert f"{one} held" in page
        assert "What meets the same fault again waits for a decision again: " in page
        assert not asked

    def test_what_this_code_does_not_know_would_be_refused(
        self, admin_client: Client, alike: list[Placed]
    ) -> None:
        alike[2].set(version=99)
        _, page = self.preview(admin_client)
        assert "1 would be refused; " in page
        assert "version 99 is unknown to this code" in page

    def test_choreographed_orders_have_the_same(self, admin_client: Client, shop: Shop) -> None:
        orders = [shop.place(flow=Flow.CHOREOGRAPHED).order for _ in range(2)]
        rows = Choreography.objects.filter(pk__in=orders)
        rows.update(status="parked", due_at=None, fingerprint="f", owner="operations")
        address, page = self.preview(admin_client)
        assert "2 would be " in page
        keys = re.findall(r'name="_selected_action" value="([^"]+)"', page)
        assert {*keys} == {str(order) for order in orders}
        html = said(admin_client, address, confirmed="yes", why="provider is back", _selected_action=keys)
        assert "What became of 2 choreographed orders" in html
        assert "parked" not in {*rows.values_list("status", flat=True)}

    def test_acts_on_none_that_came_meanwhile(
        self, admin_client: Client, alike: list[Placed], shop: Shop
    ) -> None:
        address, page = self.preview(admin_client)
        late = shop.order()
        park(late)
        keys = re.findall(r'name="_selected_action" value="([^"]+)"', page)
        said(admin_client, address, confirmed="yes", why="x", _selected_action=[*keys, "no-key"])
        assert (late.saga.status, alike[2].saga.status) == ("parked", "stopping")

    def test_costs_the_same_few_statements_for_any_number(
        self, admin_client: Client, alike: list[Placed], shop: Shop
    ) -> None:
        address, _ = self.preview(admin_client)
        cache.clear()  # of the sidebar's numbers
        with CaptureQueriesContext(connection) as few:
            shown(admin_client, address)
        for _ in range(3):
            park(shop.order())
        cache.clear()
        with CaptureQueriesContext(connection) as many:
            shown(admin_client, address)
        assert len(many) == len(few) <= 10

    def test_more_than_a_page_takes_become_a_batch(
        self, admin_client: Client, alike: list[Placed], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(bulk_actions, "MOST_AT_ONCE", 2)
        address, page = self.preview(admin_client)
        assert "There are more than 2." in page
        assert "Bring to an end: more than 2 sagas" in page
        assert "What it would do to the first 2" in page
        assert "no service is asked" not in page, "the batch asks them"
        assert 'name="_selected_action"' not in page
        html = said(admin_client, address, whole="yes", confirmed="yes", why="provider is back")
        batch = Batch.objects.get()
        assert {item.flow for item in batch.items.all()} == {order.saga_id for order in alike}
        assert (batch.by, batch.why, batch.verb) == ("admin", "provider is back", "retry")
        assert f"0 of {len(alike)} checked. Nothing is changed yet." in html

    def test_who_may_make_no_batch_acts_on_those_of_the_page_alone(
        self, reader: Client, alike: list[Placed], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(bulk_actions, "MOST_AT_ONCE", 2)
        user = User.objects.get(pk=reader.session["_auth_user_id"])
        user.user_permissions.add(Permission.objects.get(codename="retry_sagainstance"))
        address, page = self.preview(reader)
        assert "Check all of them" not in page
        assert 'name="_selected_action"' in page
        form = {"whole": "yes", "confirmed": "yes", "why": "provider is back"}
        assert reader.post(address, form).status_code == 403
        assert not Batch.objects.exists()

    def test_a_batch_needs_a_reason(
        self, admin_client: Client, alike: list[Placed], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(bulk_actions, "MOST_AT_ONCE", 2)
        address, _ = self.preview(admin_client)
        assert "say why" in said(admin_client, address, whole="yes", confirmed="yes", why=" ")
        assert not Batch.objects.exists()

    def test_is_not_for_who_may_only_look(self, reader: Client, alike: list[Placed]) -> None:
        board = shown(reader, reverse("admin:board", args=["waiting"]))
        where = follow(board, "Look and mend")
        assert "recommended" not in shown(reader, where)
        query = where.partition("?")[2]
        for verb in ("retry", "compensate"):
            url = reverse("admin:saga_sagainstance_each") + f"?verb={verb}&{query}"
            form = {"confirmed": "yes", "why": "x", "_selected_action": [alike[0].saga_id]}
            assert (reader.get(url).status_code, reader.post(url, form).status_code) == (403, 403)
        assert alike[0].saga.status == "parked"

    @pytest.mark.parametrize("address", ["?verb=destroy&fingerprint=x", "?verb=retry", ""])
    def test_no_other_verb_and_not_without_a_cause(self, admin_client: Client, address: str) -> None:
        url = reverse("admin:saga_sagainstance_changelist") + f"each/{address}"
        assert admin_client.get(url).status_code == 404

    def test_one_alone_is_a_click_away_from_the_board(
        self, admin_client: Client, parked: Placed, barrier: dict[str, Answer]
    ) -> None:
        board = shown(admin_client, reverse("admin:board", args=["waiting"]))
        where = follow(board, "Look and mend")
        assert where == page(parked)
        verb = follow(shown(admin_client, where), "Bring to an end <small>recommended")
        said(admin_client, verb, why="provider is back", seen="parked")
        assert parked.saga.status == "stopping"


def follow(html: str, text: str) -> str:
    """Return where the one link with this text leads."""
    (where,) = re.findall(rf'<a [^>]*href="([^"]+)"[^>]*>\s*{re.escape(text)}', html)
    return unescape(where)


class TestPauses:
    PAUSE = "admin:saga_sagapause_pause"

    def test_pause_then_resume(self, admin_client: Client, shop: Shop) -> None:
        html = shown(admin_client, reverse(self.PAUSE))
        assert 'value="saga place-order"' in html
        assert 'value="step reserve-stock"' in html
        assert not SagaPause.objects.exists()
        html = said(admin_client, reverse(self.PAUSE), what="step reserve-stock", why="stock count")
        assert "Pause new sagas: reserve the stock: no new ones start." in html
        pause = SagaPause.objects.get()
        assert (pause.step, pause.by, pause.why) == ("reserve-stock", "admin", "stock count")
        resume = reverse("admin:saga_sagapause_resume", args=[pause.pk])
        assert resume in html
        assert "stock count" in shown(admin_client, resume)
        assert SagaPause.objects.exists()
        done = "End pause: nothing new that has to reserve the stock: new ones start again."
        assert done in said(admin_client, resume, why="counted")
        assert not SagaPause.objects.exists()
        assert [(a.verb, a.why) for a in OperatorAction.objects.all()] == [
            ("unpause", "counted"),
            ("pause", "stock count"),
        ]

    def test_twice_is_a_message(self, admin_client: Client, shop: Shop) -> None:
        pauses.pause(saga="place-order", by="ada", why="x")
        html = said(admin_client, reverse(self.PAUSE), what="saga place-order", why="x")
        assert "place-order is paused already" in html

    def test_what_does_not_exist_is_not_offered(self, admin_client: Client, shop: Shop) -> None:
        assert "Select a valid choice" in said(admin_client, reverse(self.PAUSE), what="saga x", why="x")

    def test_is_not_for_who_may_only_look(self, reader: Client, shop: Shop) -> None:
        pauses.pause(saga="place-order", by="ada", why="x")
        resume = reverse("admin:saga_sagapause_resume", args=[SagaPause.objects.get().pk])
        html, _ = opened(reader, "saga_sagapause")
        assert resume not in html
        for url in (resume, reverse(self.PAUSE)):
            assert reader.post(url, {"why": "x", "what": "saga refund-order"}).status_code == 403
        assert SagaPause.objects.count() == 1


@pytest.mark.parametrize("word", ["{saga}", "ada"])
def test_what_was_done_is_found_by_saga_and_by_person(
    admin_client: Client, parked: Placed, barrier: dict[str, Answer], word: str
) -> None:
    operators.take_over(parked.saga, by="ada", why="mine")
    found = opened(admin_client, "saga_operatoraction", q=word.format(saga=parked.saga_id))[0]
    assert "mine" in found
    assert "mine" not in opened(admin_client, "saga_operatoraction", q="bob")[0]
    assert "mine" in opened(admin_client, "saga_operatoraction", verb="take over")[0]
    assert "mine" not in opened(admin_client, "saga_operatoraction", verb="resume")[0]
    assert SagaInstance.objects.count() == 1


@pytest.mark.parametrize("data", [[], None, [1], {}])
def test_the_pages_of_one_whose_data_cannot_be_read(
    admin_client: Client, parked: Placed, asked: list[str], data: Any
) -> None:
    parked.set(data=Value(data, JSONField()))
    for verb in ("change", *VERB_PAGES):
        assert "its data cannot be read: " in shown(admin_client, page(parked, verb))
