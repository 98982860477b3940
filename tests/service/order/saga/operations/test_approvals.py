"""Four eyes: what one person asks for is done when another one with the permission approves it, and once."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from celery_config.errors import OperatorRefused
from celery_config.http.service_client import ServiceCallError
from celery_config.notifications import incidents
from celery_config.notifications.models import Delivery, Incident, NotificationRule
from celery_config.participant.api import BarrierSettleInput
from celery_config.saga.approvals.models import ActsAlone, ApprovalRequest
from celery_config.saga.batches.choosing import make_batch
from celery_config.saga.batches.models import Batch
from celery_config.saga.batches.states import BatchState
from celery_config.saga.batches.steering import steer
from celery_config.saga.conditions import find_requests
from celery_config.saga.dead_letters.remedies import act_on
from celery_config.saga.engine.saga_flow import SAGAS
from celery_config.saga.models import OperatorAction, SagaInstance
from celery_config.saga.operations import approvals, barrier_client, operators
from celery_config.saga.operations.acts import describe_target
from celery_config.saga.operations.approvals import approve, decline, expire_requests
from celery_config.saga.operations.timing import move_deadline
from order_project.cancelling import cancel_for
from tests.service.order.conftest import Placed, Shop
from tests.service.order.saga.dead_letters.test_remedies import keep_garbage
from tests.service.order.saga.operations.test_operators import park
from tests.service.together import concurrent, together

pytestmark = pytest.mark.django_db
STEP = ("authorize-payment", "undo", {"provider_id": "ch_1"})
ANN: Any = {"by": "ann", "why": "their support says so"}
BOB: Any = {"by": "bob", "why": "I called them, too"}


@pytest.fixture(autouse=True)
def four_eyes(settings: Any) -> None:
    settings.FOUR_EYES, settings.FOUR_EYES_ABOVE = True, 1


@pytest.fixture
def parked(placed: Placed) -> Placed:
    park(placed)
    return placed


def ask_to_settle(parked: Placed) -> ApprovalRequest:
    operators.settle_by_hand(parked.saga, *STEP, **ANN)
    return ApprovalRequest.objects.get(state="open")


def make_parked(shop: Shop) -> SagaInstance:
    placed = shop.order()
    park(placed)
    return placed.saga


def make_ready_batch(shop: Shop, count: int = 2) -> Batch:
    for _ in range(count):
        park(shop.order())
    rows = SagaInstance.objects.filter(status="parked")
    batch = make_batch(SAGAS, rows, "retry", by="ann", why="x", chosen_by={})
    Batch.objects.filter(pk=batch.pk).update(state=BatchState.READY)
    return batch


def test_a_settlement_waits_for_another_person(parked: Placed, settlements: list[Any]) -> None:
    asked = ask_to_settle(parked)
    assert settlements == []
    record = OperatorAction.objects.get()
    assert (record.verb, record.by, record.what) == ("ask: settle by hand", "ann", "authorize-payment (undo)")
    done = approve(asked.pk, **BOB)
    why = "their support says so · approved: I called them, too"
    assert settlements == [(parked.saga_id, *STEP, f"{why} (ann, bob)")]
    assert (done.verb, done.by, done.asked_by, done.why) == ("settle by hand", "bob", "ann", why)
    asked.refresh_from_db()
    assert (asked.state, asked.decided_by, asked.arguments) == ("approved", "bob", {})


def test_two_long_reasons_fit_into_the_note_of_the_participant(
    parked: Placed, settlements: list[Any]
) -> None:
    operators.settle_by_hand(parked.saga, *STEP, **ANN | {"why": "a" * 1000})
    done = approve(ApprovalRequest.objects.get().pk, **BOB | {"why": "b" * 1000})
    ((*_, note),) = settlements
    assert len(note) <= BarrierSettleInput().fields["note"].max_length  # type: ignore[attr-defined]
    assert note.endswith("a (ann, bob)")
    assert len(done.why) > 2000  # the trail has all of it


def test_without_the_setting_nothing_waits(parked: Placed, settlements: list[Any], settings: Any) -> None:
    settings.FOUR_EYES = False
    assert operators.settle_by_hand(parked.saga, *STEP, **ANN).verb == "settle by hand"
    assert len(settlements) == 1
    assert not ApprovalRequest.objects.exists()


def test_who_asks_does_not_approve(parked: Placed, settlements: list[Any]) -> None:
    asked = ask_to_settle(parked)
    with pytest.raises(OperatorRefused, match="another person than the one who asks approves"):
        approve(asked.pk, **ANN)
    assert settlements == []


def log_in(name: str, *permissions: str) -> Client:
    user = User.objects.create_user(name, password="x", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


SEES_REQUESTS = "view_approvalrequest"


class TestWhoIsTold:
    def read(self, client: Client) -> str:
        return client.get(reverse("admin:board", args=["requests"])).content.decode()

    def test_those_who_may_approve_see_it_on_the_board(self, parked: Placed) -> None:
        asked = ask_to_settle(parked)
        may, asks, lacks = (
            log_in("bob", SEES_REQUESTS, "settle_sagainstance"),
            log_in("ann", SEES_REQUESTS, "settle_sagainstance"),
            log_in("eve", SEES_REQUESTS),
        )
        url = reverse("admin:approvals_approvalrequest_change", args=[asked.pk])
        assert [url in self.read(client) for client in (may, asks, lacks)] == [True, False, False]
        assert "Nothing waits for your approval" in self.read(asks)
        assert "<h2" not in self.read(log_in("sue"))
        decline(asked.pk, **BOB)
        assert url not in self.read(may)

    def test_one_that_is_late_is_not_shown(self, parked: Placed) -> None:
        asked = ask_to_settle(parked)
        ApprovalRequest.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
        assert str(asked.pk) not in self.read(log_in("bob", SEES_REQUESTS, "settle_sagainstance"))
        assert [*find_requests()] == []

    def test_starts_of_batches_take_no_query_each(
        self, shop: Shop, django_assert_max_num_queries: Any
    ) -> None:
        for _ in range(3):
            steer(make_ready_batch(shop).pk, "start", **ANN)
        may = User.objects.create_superuser("bob", password="x")
        with django_assert_max_num_queries(2):
            assert len(approvals.list_decidable(may.has_perms, "bob")) == 3
        sees = log_in("sue", SEES_REQUESTS, "change_batch")
        assert "Nothing waits for your approval" in self.read(sees), (
            "the verb of the batch needs a permission, too"
        )

    def test_somebody_is_told_once_until_it_is_decided(self, parked: Placed) -> None:
        asked = ask_to_settle(parked)
        (told,) = find_requests()
        assert (told.kind, told.severity, told.due) == ("request", "ticket", asked.expires_at)
        assert told.sentence == "“Settle by hand” waits for the approval of another person."
        assert told.link.endswith(f"/approvalrequest/{asked.pk}/change/")
        NotificationRule.objects.create(name="night", emails="ada@example.com", kinds=["request"])
        for _ in range(2):
            incidents.follow({"requests": [*find_requests()]}, every=["requests"])
            incidents.write_deliveries()
        assert [each.message for each in Delivery.objects.all()] == ["opened"]
        decline(asked.pk, **BOB)
        Incident.objects.update(last_seen_at=timezone.now() - timedelta(minutes=5))
        incidents.follow({"requests": [*find_requests()]}, every=["requests"])
        assert Incident.objects.get().over_at


def test_the_same_is_asked_for_once(parked: Placed) -> None:
    ask_to_settle(parked)
    with pytest.raises(OperatorRefused, match="asked for already"):
        operators.settle_by_hand(parked.saga, *STEP, **BOB)
    assert OperatorAction.objects.count() == 1


def test_a_step_that_has_no_undo_is_refused_at_once(parked: Placed) -> None:
    with pytest.raises(OperatorRefused, match="has no command"):
        operators.settle_by_hand(parked.saga, "capture-payment", "undo", {}, **ANN)
    assert not ApprovalRequest.objects.exists()


def test_a_request_expires(parked: Placed, settlements: list[Any]) -> None:
    asked = ask_to_settle(parked)
    ApprovalRequest.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    with pytest.raises(OperatorRefused, match="has expired"):
        approve(asked.pk, **BOB)
    again = ask_to_settle(parked)
    asked.refresh_from_db()
    assert (asked.state, asked.arguments) == ("expired", {})
    ApprovalRequest.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    expire_requests()
    again.refresh_from_db()
    assert again.state == "expired"
    assert settlements == []


def test_a_service_that_does_not_answer_leaves_the_request_open(
    parked: Placed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> str:
        raise ServiceCallError("payment does not answer")

    monkeypatch.setattr(barrier_client, "send_settlement", fail)
    asked = ask_to_settle(parked)
    with pytest.raises(ServiceCallError):
        approve(asked.pk, **BOB)
    asked.refresh_from_db()
    assert (asked.state, asked.arguments["answer"]) == ("open", {"provider_id": "ch_1"})


def test_what_moved_meanwhile_is_not_settled(parked: Placed, settlements: list[Any]) -> None:
    asked = ask_to_settle(parked)
    parked.set(status="compensated", due_at=None)
    with pytest.raises(OperatorRefused, match="no call has been open long enough"):
        approve(asked.pk, **BOB)
    assert settlements == []


def test_another_declines_and_who_asked_takes_back(parked: Placed, settlements: list[Any]) -> None:
    for person in (BOB, ANN):
        asked = ask_to_settle(parked)
        record = decline(asked.pk, **person)
        assert (record.verb, record.by, record.asked_by) == ("decline", person["by"], "ann")
        with pytest.raises(OperatorRefused, match=f"the request is declined by {person['by']}"):
            approve(asked.pk, by="cara", why="x")
    assert settlements == []


def test_a_large_batch_waits_and_a_small_one_does_not(shop: Shop, settings: Any) -> None:
    from celery_config.saga.batches.steering import steer

    batch = make_ready_batch(shop)
    asked = steer(batch.pk, "start", **ANN)
    assert (asked.verb, asked.what) == ("ask: start a batch", "Bring to an end: 2")
    batch.refresh_from_db()
    assert batch.state == "ready"
    done = approve(ApprovalRequest.objects.get().pk, **BOB)
    assert (done.verb, done.by, done.asked_by) == ("start a batch", "bob", "ann")
    batch.refresh_from_db()
    assert batch.state == "running"
    settings.FOUR_EYES_ABOVE = 10
    assert steer(make_ready_batch(shop, 0).pk, "start", **ANN).verb == "start a batch"


class TestWhatOnePersonDoesAlone:
    """Many small acts with one verb are as much as a large one."""

    @pytest.fixture(autouse=True)
    def limit(self, settings: Any) -> None:
        settings.FOUR_EYES_ABOVE = 3

    def start(self, batch: Batch, who: Any = ANN) -> str:
        from celery_config.saga.batches.steering import steer

        return steer(batch.pk, "start", **who).verb

    def test_several_small_batches_count_together(self, shop: Shop) -> None:
        batches = [make_ready_batch(shop, 2), make_ready_batch(shop, 0)]
        assert self.start(batches[0]) == "start a batch"
        assert self.start(batches[1]) == "ask: start a batch"
        done = approve(ApprovalRequest.objects.get().pk, **BOB)
        assert done.verb == "start a batch"

    def test_another_person_has_a_share_of_their_own(self, shop: Shop) -> None:
        batches = [make_ready_batch(shop, 2), make_ready_batch(shop, 0)]
        self.start(batches[0])
        assert self.start(batches[1], BOB) == "start a batch"

    def test_an_hour_later_they_count_no_more(self, shop: Shop) -> None:
        batches = [make_ready_batch(shop, 2), make_ready_batch(shop, 0)]
        self.start(batches[0])
        row = ActsAlone.objects.get(by="ann", verb="retry")
        ((at, count),) = row.acts
        ActsAlone.objects.update(acts=[[at - approvals.WINDOW_SECONDS, count]])
        assert self.start(batches[1]) == "start a batch"

    def test_single_acts_count_too_and_what_is_refused_does_not(self, shop: Shop) -> None:
        *rows, ended = [make_parked(shop) for _ in range(5)]
        SagaInstance.objects.filter(pk=ended.pk).update(status="compensated")
        for row in rows[:3]:
            operators.perform(row, "retry", **ANN)
            with pytest.raises(OperatorRefused):
                operators.perform(ended, "retry", **ANN)
        with pytest.raises(
            OperatorRefused,
            match=r"in an hour one person may use .* on at most 3 alone, and you used it on 3",
        ):
            operators.perform(rows[3], "retry", **ANN)
        assert OperatorAction.objects.filter(verb="retry").count() == 3
        operators.perform(rows[3], "compensate", **ANN)
        assert self.start(make_ready_batch(shop, 1)) == "ask: start a batch"

    def test_a_batch_that_was_started_acts_on_all_of_its_flows(self, shop: Shop) -> None:
        from celery_config.saga.batches.running import run_batches

        batch = make_ready_batch(shop, 3)
        Batch.objects.update(one_first=False)
        batch.items.update(state="checked")
        self.start(batch)
        run_batches()
        assert OperatorAction.objects.filter(verb="retry").count() == 3

    def test_letters_count_too(self, shop: Shop) -> None:
        letters = keep_garbage(4)
        for letter in letters[:3]:
            act_on(letter, "dismiss", **ANN)
        with pytest.raises(OperatorRefused, match="on at most 3 alone"):
            act_on(letters[3], "dismiss", **ANN)

    def test_stopping_for_a_customer_counts_as_the_verb(self, shop: Shop) -> None:
        staff = User.objects.create_user("ann", is_staff=True)
        for _ in range(3):
            cancel_for(staff, order=shop.order().order, why="x")
        with pytest.raises(OperatorRefused, match="on at most 3 alone"):
            cancel_for(staff, order=shop.order().order, why="x")
        assert SagaInstance.objects.filter(status="stopping").count() == 3

    def test_deadlines_count_since_each_may_stop_a_flow(self, shop: Shop) -> None:
        for _ in range(3):
            move_deadline(shop.order().saga, minutes=1, **ANN)
        with pytest.raises(OperatorRefused, match="on at most 3 alone"):
            move_deadline(shop.order().saga, minutes=1, **ANN)

    def test_the_page_of_many_says_so(self, shop: Shop, admin_client: Client) -> None:
        row = make_parked(shop)
        url = reverse("admin:saga_sagainstance_changelist")
        page = admin_client.post(url, {"action": "retry_each", "_selected_action": str(row.pk)})
        assert (
            "In an hour one person may use “Bring to an end” on at most 3 alone, and you used it on 0"
            in page.content.decode()
        )

    def test_without_four_eyes_nothing_is_noted(self, shop: Shop, settings: Any) -> None:
        settings.FOUR_EYES = False
        for _ in range(4):
            operators.perform(make_parked(shop), "retry", **ANN)
        assert not ActsAlone.objects.exists()


@concurrent
def test_small_batches_that_are_started_at_once_count_together(shop: Shop, settings: Any) -> None:
    from celery_config.saga.batches.steering import steer

    def start(pk: UUID) -> str:
        return steer(pk, "start", **ANN).verb

    settings.FOUR_EYES_ABOVE = 2
    batches = [make_ready_batch(shop, 2), make_ready_batch(shop, 0), make_ready_batch(shop, 0)]
    done = together(*(partial(start, each.pk) for each in batches))
    assert sorted(done) == ["ask: start a batch", "ask: start a batch", "start a batch"]


def test_a_batch_that_was_stopped_is_not_started(shop: Shop) -> None:
    from celery_config.saga.batches.steering import steer

    batch = make_ready_batch(shop)
    steer(batch.pk, "start", **ANN)
    steer(batch.pk, "stop", **ANN)
    with pytest.raises(OperatorRefused, match="does not fit a batch that is “stopped”"):
        approve(ApprovalRequest.objects.get().pk, **BOB)


def make_client(name: str, *codes: str) -> APIClient:
    user = User.objects.create_user(name, is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=(*codes, "view_approvalrequest")))
    client = APIClient()
    client.force_authenticate(user)
    return client


def test_over_http(parked: Placed, settlements: list[Any]) -> None:
    ann, bob, cara = (
        make_client("ann", "settle_sagainstance"), make_client("bob", "settle_sagainstance"), make_client("cara"),
    )  # fmt: skip
    body = {"step": STEP[0], "operation": STEP[1], "answer": STEP[2], "why": "support says so"}
    asked = ann.post(f"/api/sagas/{parked.saga_id}/settle/", body, format="json")
    assert (asked.status_code, asked.json()["verb"]) == (200, "ask: settle by hand")
    (shown,) = bob.get("/api/approvals/", {"state": "open"}).json()["results"]
    assert (shown["act"], shown["asked_by"], shown["arguments"]["answer"]) == (
        "settle by hand",
        "ann",
        STEP[2],
    )
    address = f"/api/approvals/{shown['id']}/approve/"
    assert bob.get(f"/api/approvals/{shown['id']}/").json() == shown
    refused = cara.post(address, {"why": "x"}, format="json")
    assert refused.status_code == 403
    assert "saga.settle_sagainstance" in refused.json()["detail"]
    assert ann.post(address, {"why": "x"}, format="json").json()["code"] == "operator_refused"
    done = bob.post(address, {"why": "so do I"}, format="json")
    assert done.status_code == 200, done.content
    assert (done.json()["by"], done.json()["asked_by"]) == ("bob", "ann")
    assert bob.post(address, {"why": "again"}, format="json").status_code == 409
    assert len(settlements) == 1


def test_on_the_pages(parked: Placed, settlements: list[Any], admin_client: Client, client: Client) -> None:
    asked = ask_to_settle(parked)
    page = reverse("admin:approvals_approvalrequest_change", args=[asked.pk])
    assert "their support says so" in admin_client.get(page).content.decode()
    act = reverse("admin:approvals_approvalrequest_approve", args=[asked.pk])
    asks = admin_client.get(act).content.decode()
    assert "in the name of both of you" in asks
    assert "ch_1" in asks
    assert describe_target(asked.what) in asks
    assert reverse("admin:saga_sagainstance_change", args=[parked.saga_id]) in asks
    clerk = User.objects.create_user("clerk", is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(codename="view_approvalrequest"))
    client.force_login(clerk)
    assert client.get(act).status_code == 403
    assert client.get(act.replace("approve", "decline")).status_code == 403
    assert admin_client.post(act, {"why": "so do I"}).status_code == 302
    assert len(settlements) == 1
    assert (
        "admin, asked by ann"
        in admin_client.get(reverse("admin:saga_operatoraction_changelist")).content.decode()
    )


def test_a_page_takes_no_more_than_one_person_may(shop: Shop, admin_client: Client) -> None:
    for _ in range(3):
        park(shop.order())
    line = SagaInstance.objects.filter(status="parked").values_list("fingerprint", flat=True)[0]
    each = reverse("admin:saga_sagainstance_each")
    html = admin_client.get(each, {"verb": "retry", "fingerprint": line}).content.decode()
    assert "There are more than 1." in html
    assert "Check all of them" in html


def test_the_badge_counts_open_requests(parked: Placed) -> None:
    assert approvals.count_badges() == {"approvals.approvalrequest": 0}
    ask_to_settle(parked)
    assert approvals.count_badges() == {"approvals.approvalrequest": 1}


@concurrent
def test_two_approve_at_once(parked: Placed, settlements: list[Any]) -> None:
    asked = ask_to_settle(parked)

    def let(by: str) -> UUID:
        return UUID(int=approve(asked.pk, by=by, why="x").pk)

    results = together(lambda: let("bob"), lambda: let("cara"))
    assert sorted(type(each).__name__ for each in results) == ["OperatorRefused", "UUID"]
    assert len(settlements) == 1


@concurrent
def test_two_ask_at_once(parked: Placed) -> None:
    results = together(*(lambda: operators.settle_by_hand(parked.saga, *STEP, **ANN) for _ in range(2)))
    assert sorted(type(each).__name__ for each in results) == ["OperatorAction", "OperatorRefused"]
    assert ApprovalRequest.objects.count() == 1
