"""A batch: its dry run says what would become of each flow; it acts on what has not moved, and tells each end."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import timedelta
from functools import partial
from html import unescape
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from celery_config.errors import OperatorRefused
from celery_config.messaging.states import Action, Undo
from celery_config.saga.batches import acting, counting, running
from celery_config.saga.batches.choosing import make_batch
from celery_config.saga.batches.counting import count_flows
from celery_config.saga.batches.models import Batch, BatchItem
from celery_config.saga.batches.reading import read_parts, read_reasons
from celery_config.saga.batches.running import run_batches
from celery_config.saga.batches.states import ItemState
from celery_config.saga.batches.steering import steer
from celery_config.saga.course import Held
from celery_config.saga.engine.saga_flow import SAGAS
from celery_config.saga.models import OperatorAction, SagaInstance
from celery_config.saga.operations import barrier_client, operators
from celery_config.saga.states import Status
from celery_config.web.columns import format_time
from order_project.choreography.flow import CHOREOGRAPHIES
from order_project.domain import Flow
from order_project.models import Choreography
from tests.service.order.conftest import Placed, Shop
from tests.service.order.saga.operations.test_operators import held, park
from tests.service.together import concurrent, together

pytestmark = pytest.mark.django_db
Told = dict[str, dict[UUID, dict[str, Held]] | None]
WHY: Any = {"by": "ada", "why": "the provider is back", "chosen_by": {}}
STEER: Any = {"by": "ada", "why": "the provider is back"}


def find_parked() -> Any:
    return SagaInstance.objects.filter(status="parked")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    """What each participant's barrier says of each saga; None: it does not answer."""
    said: Told = {"payment": {}, "inventory": {}, "shipment": {}}

    def read(service: str, ids: Collection[UUID]) -> Mapping[UUID, Mapping[str, Held]] | None:
        answer = said[service]
        return None if answer is None else {pk: answer[pk] for pk in ids if pk in answer}

    monkeypatch.setattr(barrier_client, "read_barriers_of_many", read)
    return said


@pytest.fixture
def parked(shop: Shop) -> list[Placed]:
    orders = [shop.order() for _ in range(4)]
    for order in orders:
        park(order)
    return orders


def choose(verb: str = "retry", **more: Any) -> Batch:
    return make_batch(SAGAS, find_parked(), verb, **WHY, **more)


def start(batch: Batch) -> None:
    run_batches()
    steer(batch.pk, "start", **STEER)
    run_batches()


def read_state(batch: Batch) -> str:
    return Batch.objects.get(pk=batch.pk).state


def read_items(batch: Batch) -> dict[UUID, BatchItem]:
    return {item.flow: item for item in batch.items.all()}


def end(*orders: Placed, status: Status = Status.COMPENSATED) -> None:
    for order in orders:
        order.set(status=status, due_at=None)


class TestDryRun:
    def test_it_says_what_would_become_of_each(self, parked: list[Placed], told: Told) -> None:
        """The barriers decide: the log of all four is the same."""
        undone, paid, unknown, refused = (order.saga_id for order in parked)
        assert undone is not None
        assert paid is not None
        assert unknown is not None
        assert refused is not None
        told["payment"] = {
            undone: {
                "authorize-payment": held(Action.DONE, Undo.INTENT),
                "capture-payment": held(Action.TOMBSTONE),
            },
            paid: {"authorize-payment": held(Action.DONE), "capture-payment": held(Action.DONE)},
            unknown: {"capture-payment": held(Action.INTENT)},
        }
        parked[3].set(data={"order": "nonsense"})
        batch = choose()
        assert read_state(batch) == "checking"
        run_batches()
        items = read_items(batch)
        assert items[undone].would_be == "cancelled"
        assert items[paid].would_be == "finished"
        assert items[unknown].would_be == "cancelled or finished"
        assert (items[refused].would_be, items[refused].state) == ("refused", "refused")
        assert "its data cannot be read" in items[refused].reason
        assert read_state(batch) == "ready"
        assert {order.saga.status for order in parked} == {"parked"}, "a dry run changes nothing"
        assert not OperatorAction.objects.exists()
        money = {
            part.would_be: [each.amount for each in part.money]
            for part in read_parts(Batch.objects.get(pk=batch.pk))
        }
        assert money["cancelled"] == [1785]

    def test_it_warns_of_those_whose_participant_must_be_recovered_first(
        self, parked: list[Placed], told: Told, admin_client: Client
    ) -> None:
        """Their undo would be reported as lost, and they would wait for a decision again."""
        for order in parked[:3]:
            order.log_as("done", "authorize-payment")
        kept = parked[0].saga_id
        assert kept is not None
        told["payment"] = {kept: {"authorize-payment": held(Action.DONE)}}
        batch = choose()
        run_batches()
        batch.refresh_from_db()
        (reason,) = read_reasons(batch)
        assert (reason.state, reason.count) == ("checked", 2)
        assert reason.reason.startswith("payment: the database was set back")
        assert "run ./manage.py payment recover first" in reason.reason
        assert [(part.state, part.count) for part in read_parts(batch)] == [("checked", 4)]
        warning = "Of 2: payment: the database was set back"
        pages = {
            act: unescape(
                admin_client.get(reverse(f"admin:batches_batch_{act}", args=[batch.pk])).content.decode()
            )
            for act in ("start", "stop")
        }
        assert {act: warning in page for act, page in pages.items()} == {"start": True, "stop": False}

    def test_what_a_silent_participant_knows_is_not_known(self, parked: list[Placed], told: Told) -> None:
        told["shipment"] = None
        batch = choose()
        start(batch)
        assert {
            (part.state, part.would_be, part.count) for part in read_parts(Batch.objects.get(pk=batch.pk))
        } == {("left alone", "not known", 4)}
        assert [reason.reason for reason in read_reasons(Batch.objects.get(pk=batch.pk))] == [
            "shipment did not answer"
        ]
        assert {order.saga.status for order in parked} == {"parked"}

    def test_one_flow_that_cannot_be_read_does_not_stop_the_others(
        self, parked: list[Placed], told: Told
    ) -> None:
        parked[0].set(version=99)
        batch = choose()
        run_batches()
        assert sorted(item.state for item in read_items(batch).values()) == ["checked"] * 3 + ["refused"]

    def test_its_statements_do_not_grow_with_the_flows(self, shop: Shop, told: Told) -> None:
        counts = []
        for _ in range(2):
            for order in [shop.order() for _ in range(6)]:
                park(order)
            choose()
            with CaptureQueriesContext(connection) as asked:
                run_batches()
            counts.append(len(asked))
            Batch.objects.all().delete()
        assert counts[0] == counts[1]


class TestActing:
    def test_each_is_acted_on_and_has_its_end(self, parked: list[Placed], told: Told) -> None:
        batch = choose()
        start(batch)
        assert {order.saga.status for order in parked} == {"stopping"}
        assert {a.by for a in OperatorAction.objects.filter(verb="retry")} == {"ada"}
        assert OperatorAction.objects.filter(verb="retry").count() == 4
        assert read_state(batch) == "ended"
        assert Batch.objects.get().settled_at is None
        end(*parked[:3])
        parked[3].set(status="parked", due_at=None)
        run_batches()
        assert {(part.outcome, part.count) for part in read_parts(Batch.objects.get(pk=batch.pk))} == {
            ("compensated", 3),
            ("parked", 1),
        }
        assert Batch.objects.get().settled_at is not None

    def test_what_has_moved_is_left_alone(self, parked: list[Placed], told: Told) -> None:
        batch = choose()
        run_batches()
        operators.perform(parked[0].saga, "retry", by="bob", why="mine")
        parked[1].set(since=timezone.now())  # it was parked again meanwhile
        start(batch)
        items = read_items(batch)
        for order in parked[:2]:
            item = items[order.saga_id]  # type: ignore[index]
            assert (item.state, item.reason) == ("left alone", "it has moved since it was chosen")
        assert sorted(item.state for item in items.values()) == ["acted", "acted", "left alone", "left alone"]
        assert OperatorAction.objects.filter(by="ada", verb="retry").count() == 2

    def test_one_that_fails_harms_only_itself(
        self, parked: list[Placed], told: Told, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        apply, bad = operators.apply_verb, parked[1].saga_id

        def fail(work: Any, row: Any, verb: str) -> str:
            if row.pk == bad:
                raise RuntimeError("no rule foresees this")
            return apply(work, row, verb)

        monkeypatch.setattr(acting.operators, "apply_verb", fail)
        batch = choose()
        start(batch)
        items = read_items(batch)
        assert bad is not None
        assert items[bad].state == "refused"
        assert "no rule foresees this" in items[bad].reason
        assert sorted(item.state for item in items.values()) == ["acted"] * 3 + ["refused"]
        assert parked[1].saga.status == "parked"

    def test_one_is_tried_before_the_others(self, parked: list[Placed], told: Told) -> None:
        batch = choose(one_first=True)
        start(batch)
        assert read_state(batch) == "trying"
        stopping = [order for order in parked if order.saga.status == "stopping"]
        assert len(stopping) == 1
        run_batches()
        assert [order.saga.status for order in parked].count("stopping") == 1, "the others wait for its end"
        end(*stopping)
        run_batches()
        assert read_state(batch) == "ended"
        assert [order.saga.status for order in parked].count("stopping") == 3

    def test_one_that_waits_again_stops_the_others(self, parked: list[Placed], told: Told) -> None:
        batch = choose(one_first=True)
        start(batch)
        (tried,) = [order for order in parked if order.saga.status == "stopping"]
        tried.set(status="parked", due_at=None)
        run_batches()
        assert read_state(batch) == "paused"
        assert "waits for a decision again" in Batch.objects.get().note
        steer(batch.pk, "resume", **STEER)
        run_batches()
        assert [order.saga.status for order in parked].count("stopping") == 3

    def test_it_tries_one_first_by_itself_above_ten(self, shop: Shop, told: Told) -> None:
        for order in [shop.order() for _ in range(11)]:
            park(order)
        assert choose().one_first
        assert not choose(one_first=False).one_first

    def test_waves_have_a_rate(self, parked: list[Placed], told: Told) -> None:
        batch = choose(per_minute=60)
        start(batch)
        assert [order.saga.status for order in parked].count("stopping") == 1
        run_batches()
        assert [order.saga.status for order in parked].count("stopping") == 1, "a second has not passed"
        Batch.objects.update(next_at=timezone.now() - timedelta(seconds=1))
        run_batches()
        assert [order.saga.status for order in parked].count("stopping") == 2

    @pytest.mark.parametrize(
        ("per_minute", "wave"), [(1, (1, 60)), (60, (1, 1)), (600, (10, 1)), (6000, (50, 0.5))]
    )
    def test_a_wave_keeps_the_rate(self, per_minute: int, wave: tuple[int, float]) -> None:
        assert running.plan_wave(per_minute) == wave

    def test_what_is_paused_waits_and_what_is_stopped_is_left(self, parked: list[Placed], told: Told) -> None:
        batch = choose(per_minute=60)
        start(batch)
        steer(batch.pk, "pause", **STEER)
        Batch.objects.update(next_at=None)
        run_batches()
        assert [order.saga.status for order in parked].count("stopping") == 1
        steer(batch.pk, "stop", **STEER)
        run_batches()
        assert {(part.state, part.count) for part in read_parts(Batch.objects.get(pk=batch.pk))} == {
            ("acted", 1),
            ("left alone", 3),
        }
        assert [reason.reason for reason in read_reasons(Batch.objects.get(pk=batch.pk))] == [
            "the batch was stopped"
        ]
        end(*[order for order in parked if order.saga.status == "stopping"])
        run_batches()
        assert Batch.objects.get().settled_at is not None

    def test_a_batch_that_cannot_run_does_not_stop_the_others(self, parked: list[Placed], told: Told) -> None:
        broken, good = choose(), choose()
        Batch.objects.filter(pk=broken.pk).update(kind="saga.gone")
        run_batches()
        assert read_state(good) == "ready"

    def test_a_paid_one_is_resumed_by_proof(self, parked: list[Placed], told: Told) -> None:
        paid = parked[0].saga_id
        assert paid
        told["payment"] = {paid: {"capture-payment": held(Action.DONE, captured_amount=1785)}}
        batch = choose("resume")
        start(batch)
        assert parked[0].saga.status == "forward"
        assert {order.saga.status for order in parked[1:]} == {"parked"}
        assert sorted(item.state for item in read_items(batch).values()) == ["acted"] + ["refused"] * 3

    def test_choreographed_orders_have_batches_too(self, shop: Shop, told: Told) -> None:
        order = shop.place(flow=Flow.CHOREOGRAPHED).order
        batch = make_batch(CHOREOGRAPHIES, Choreography.objects.filter(pk=order), "compensate", **WHY)
        start(batch)
        assert Choreography.objects.get(pk=order).status == "stopping"


class TestRelays:
    def test_one_goes_on_where_a_killed_one_was(self, parked: list[Placed], told: Told) -> None:
        """Its claims are over after a while, and nothing else is kept outside of the database."""
        batch = choose()
        run_batches()
        steer(batch.pk, "start", **STEER)
        running.claim(Batch.objects.get(), ItemState.CHECKED, 50)
        run_batches()
        assert {order.saga.status for order in parked} == {"parked"}, "another relay has claimed them"
        BatchItem.objects.update(claimed_until=timezone.now() - timedelta(seconds=1))
        run_batches()
        assert {order.saga.status for order in parked} == {"stopping"}

    def test_a_slow_one_repeats_nothing(self, parked: list[Placed], told: Told) -> None:
        """It read its items; another relay acted on them meanwhile."""
        batch = choose()
        run_batches()
        steer(batch.pk, "start", **STEER)
        read = list(batch.items.order_by("pk"))
        run_batches()
        piece = acting.FlowPiece(Batch.objects.get(), SAGAS)
        assert piece.act(read) == 0
        assert {item.state for item in read_items(batch).values()} == {"acted"}
        assert OperatorAction.objects.filter(verb="retry").count() == 4


class TestCounting:
    """The sums are kept on the batch's row: a page that asks every two seconds counts nothing."""

    def test_a_large_batch_is_counted_now_and_then_and_at_its_end(
        self, parked: list[Placed], told: Told, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(running, "PIECE", 1)
        counts = []
        monkeypatch.setattr(counting, "count_flows", lambda pk: (counts.append(pk), count_flows(pk)))
        batch = choose()
        start(batch)
        assert len(counts) == 2, "after the dry run, and after the last of the pieces"
        assert [(part.state, part.count) for part in read_parts(Batch.objects.get())] == [("acted", 4)]
        run_batches()
        assert len(counts) == 2, "nothing has changed"

    def test_what_a_killed_relay_left_uncounted_is_counted(self, parked: list[Placed], told: Told) -> None:
        batch = choose()
        run_batches()
        batch.items.update(would_be="finished")
        run_batches()
        (part,) = read_parts(Batch.objects.get())
        assert part.would_be == "cancelled or finished"
        Batch.objects.update(counted_at=timezone.now() - timedelta(seconds=running.RECOUNT_SECONDS + 1))
        run_batches()
        (part,) = read_parts(Batch.objects.get())
        assert part.would_be == "finished"

    def test_its_page_counts_nothing(self, admin_client: Client, parked: list[Placed], told: Told) -> None:
        batch = choose()
        run_batches()
        url = reverse("admin:batches_batch_progress", args=[batch.pk])
        with CaptureQueriesContext(connection) as asked:
            assert admin_client.get(url).status_code == 200
        assert not [each["sql"] for each in asked if "batches_batchitem" in each["sql"]]


@concurrent
def test_two_relays_and_two_operators_act_once_on_each(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(barrier_client, "read_barriers_of_many", lambda service, ids: {})
    monkeypatch.setattr(running, "PIECE", 3)
    for order in [shop.order() for _ in range(12)]:
        park(order)
    mine, theirs = choose(one_first=False), choose(one_first=False)
    run_batches()
    for batch in (mine, theirs):
        steer(batch.pk, "start", **STEER)
    assert together(*[run_batches] * 4) == [None] * 4
    assert set(SagaInstance.objects.values_list("status", "attempt")) == {("stopping", 2)}, (
        "each was sent once when it was stopped, and once more"
    )
    assert OperatorAction.objects.filter(verb="retry").count() == 12
    states = BatchItem.objects.values_list("state", flat=True)
    assert sorted(states) == ["acted"] * 12 + ["left alone"] * 12
    counted = [part for each in Batch.objects.all() for part in read_parts(each)]
    assert sum(part.count for part in counted if part.state == "acted") == 12, "the last count saw all"
    assert {read_state(mine), read_state(theirs)} == {"ended"}


@concurrent
def test_two_operators_start_it_once(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(barrier_client, "read_barriers_of_many", lambda service, ids: {})
    park(shop.order())
    batch = choose()
    run_batches()
    first, second = together(*[partial(steer, batch.pk, "start", **STEER)] * 2)
    assert sorted([type(first), type(second)], key=str) == sorted([OperatorAction, OperatorRefused], key=str)


class TestRefused:
    @pytest.mark.parametrize(
        ("more", "says"),
        [
            ({"why": " "}, "say why"),
            ({"verb": "explode"}, "there is no verb"),
            ({"rows": SagaInstance.objects.filter(status="forward")}, "nothing fits"),
            ({"rows": SagaInstance.objects.filter(pk__in=())}, "nothing fits"),
        ],
    )
    def test_it_is_not_made(self, parked: list[Placed], more: dict[str, Any], says: str) -> None:
        given: dict[str, Any] = {"rows": find_parked(), "verb": "retry", **WHY, **more}
        with pytest.raises(OperatorRefused, match=says):
            make_batch(SAGAS, given.pop("rows"), given.pop("verb"), **given)
        assert not Batch.objects.exists()

    def test_too_many_are_refused_whole(self, parked: list[Placed], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("celery_config.saga.batches.choosing.MOST", 3)
        with pytest.raises(OperatorRefused, match="more than 3 flows fit"):
            choose()
        assert not Batch.objects.exists()
        assert not BatchItem.objects.exists()

    @pytest.mark.parametrize("act", ["pause", "resume", "stop", "start"])
    def test_an_ended_one_is_not_steered(self, parked: list[Placed], told: Told, act: str) -> None:
        batch = choose()
        start(batch)
        with pytest.raises(OperatorRefused, match="does not fit a batch that is “ended”"):
            steer(batch.pk, act, **STEER)


class TestHttp:
    @pytest.fixture
    def operator(self) -> APIClient:
        user = User.objects.create_user("ada", password="x", is_staff=True)
        codes = ("retry_sagainstance", "compensate_sagainstance", "add_batch", "change_batch", "view_batch")
        user.user_permissions.set(Permission.objects.filter(codename__in=codes))
        client = APIClient()
        client.force_authenticate(user)
        return client

    def test_from_the_choice_to_each_outcome(
        self, operator: APIClient, parked: list[Placed], told: Told
    ) -> None:
        body = {"verb": "retry", "fingerprint": parked[0].saga.fingerprint, "why": "the provider is back"}
        once: Any = {"format": "json", "headers": {"Idempotency-Key": "one"}}
        made = operator.post("/api/batches/", body, **once)
        assert made.status_code == 202, made.content
        address = made.headers["Location"]
        again = operator.post("/api/batches/", body, **once)
        assert again.json()["id"] == made.json()["id"]
        run_batches()
        dry = operator.get(address).json()
        assert dry["state"] == "ready"
        assert [(part["would_be"], part["count"]) for part in dry["parts"]] == [("cancelled or finished", 4)]
        assert operator.post(f"{address}start/", {"why": "now"}, format="json").status_code == 200
        assert operator.post(f"{address}start/", {"why": "now"}, format="json").status_code == 409
        run_batches()
        end(*parked)
        run_batches()
        rows = operator.get(f"{address}items/", {"outcome": "compensated", "limit": 500}).json()["results"]
        assert {row["flow"] for row in rows} == {str(order.saga_id) for order in parked}
        (line,) = operator.get("/api/batches/").json()["results"]
        assert line["settled_at"]

    @pytest.mark.parametrize(
        ("body", "status", "says"),
        [
            ({}, 409, "say which flows"),
            ({"ids": [str(uuid4())], "status": "parked"}, 409, "not both"),
            ({"ids": []}, 400, "ids"),
            ({"ids": ["x"]}, 400, "ids"),
            ({"status": "lost"}, 400, "status"),
            ({"status": "parked", "kind": "auth.user"}, 409, "there is no kind"),
            ({"name": "place-order", "kind": "order.choreography"}, 409, "no field 'name'"),
            ({"status": "parked", "per_minute": 0}, 400, "per_minute"),
            ({"status": "parked", "verb": "explode"}, 409, "there is no verb"),
        ],
    )
    def test_an_odd_choice_is_refused(self, operator: APIClient, body: Any, status: int, says: str) -> None:
        answer = operator.post("/api/batches/", {"verb": "retry", "why": "x", **body}, format="json")
        assert answer.status_code == status, answer.content
        assert says in answer.content.decode()
        assert not Batch.objects.exists()


class TestPages:
    def open(self, client: Client, batch: Batch, view: str = "change") -> str:
        answer = client.get(reverse(f"admin:batches_batch_{view}", args=[batch.pk]))
        assert answer.status_code == 200
        return answer.content.decode()

    def test_the_page_shows_the_dry_run_and_starts_it(
        self, admin_client: Client, parked: list[Placed], told: Told
    ) -> None:
        batch = choose()
        assert "0 of 4 checked" in self.open(admin_client, batch)
        run_batches()
        page = self.open(admin_client, batch)
        assert "Checked: 4. Nothing is changed yet. Start it to act on 4." in page
        assert "€71.40 in doubt" in page
        assert "Money when checked" in page, "what was held then may be gone by now"
        assert "order_saga/story" in page, "the verbs look like buttons and open a dialog"
        assert "etry …" not in page
        assert "more_horiz" not in page, "a phone has no button for a menu with nothing in it"
        assert "story-held" in page, "it waits for somebody"
        start_page = reverse("admin:batches_batch_start", args=[batch.pk])
        assert "the provider is back" in admin_client.get(start_page).content.decode()
        done = admin_client.post(start_page, {"why": "it is checked"}, follow=True)
        assert "ready to start → at work" in done.content.decode()
        assert "Pause the batch" in done.content.decode(), (
            "the button Pause stops the renewal of the page alone"
        )
        run_batches()
        assert "It has acted on 4 of 4. Still on their way: 4." in self.open(admin_client, batch)
        end(*parked)
        run_batches()
        fragment = self.open(admin_client, batch, "progress")
        assert "cancelled, everything undone" in fragment
        batch.refresh_from_db()
        assert format_time(batch.settled_at) in fragment, "what changes renews itself"
        assert "hx-get" not in fragment, "what has ended does not ask for itself again"

    def test_each_number_leads_to_its_flows(
        self, admin_client: Client, parked: list[Placed], shop: Shop, told: Told
    ) -> None:
        other = shop.order()
        batch = choose()
        run_batches()
        (link,) = re.findall(r'href="([^"]+batch=[^"]+)"', self.open(admin_client, batch))
        html = admin_client.get(unescape(link)).content.decode()
        assert all(str(order.saga_id) in html for order in parked)
        assert str(other.saga_id) not in html
        for odd in ("x", f"{batch.pk}", f"{batch.pk}:a:b", ":::"):
            answer = admin_client.get("/admin/saga/sagainstance/", {"batch": odd})
            assert answer.status_code == 200
            assert str(parked[0].saga_id) not in answer.content.decode()

    def test_a_poll_takes_few_statements(
        self, admin_client: Client, parked: list[Placed], told: Told
    ) -> None:
        batch = choose()
        run_batches()
        self.open(admin_client, batch, "progress")
        with CaptureQueriesContext(connection) as asked:
            self.open(admin_client, batch, "progress")
        assert len(asked) <= 10

    def test_an_act_that_does_not_fit_is_refused(
        self, admin_client: Client, parked: list[Placed], told: Told
    ) -> None:
        batch = choose()
        page = admin_client.get(reverse("admin:batches_batch_pause", args=[batch.pk])).content.decode()
        assert "It would be refused: “Pause the batch” does not fit a batch that is “being checked”" in page


class TestTheBoard:
    def read(self, client: Client) -> str:
        answer = client.get(reverse("admin:board", args=["batches"]))
        assert answer.status_code == 200
        return answer.content.decode()

    def test_shows_what_is_open_and_leads_to_its_page(
        self, admin_client: Client, parked: list[Placed], told: Told
    ) -> None:
        assert reverse("admin:batches_batch_changelist") in self.read(admin_client)
        batch = choose()
        run_batches()
        page = self.read(admin_client)
        page_url = reverse("admin:batches_batch_change", args=[batch.pk])
        assert f'href="{page_url}">Bring to an end: 4 sagas</a>' in page
        assert "ready to start" in page
        assert "Checked: 4. Nothing is changed yet. Start it to act on 4." in page
        assert '<details class="fold"' not in page, "it waits for somebody to start it"
        steer(batch.pk, "start", **STEER)
        run_batches()
        assert "Still on their way: 4" in self.read(admin_client)
        end(*parked)
        run_batches()
        assert "No batch is open" in self.read(admin_client)

    def test_asks_no_more_for_many_batches(
        self, admin_client: Client, parked: list[Placed], told: Told
    ) -> None:
        counts = []
        for _ in range(2):
            choose()
            self.read(admin_client)
            with CaptureQueriesContext(connection) as asked:
                self.read(admin_client)
            counts.append(len(asked))
        assert counts[0] == counts[1] <= 10

    def test_needs_the_permission_to_see_batches(self, parked: list[Placed]) -> None:
        choose()
        client = Client()
        client.force_login(User.objects.create_user("eve", password="x", is_staff=True))
        assert "batch" not in self.read(client).replace("board-batches", "").replace("board/batches", "")
