"""Holds: what is held is left alone, its deadline moves by the time held, and it goes on in waves (rule 30, holds)."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import Any
from uuid import UUID

import pytest
from celery import current_app
from celery.app.task import Context
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from celery_config.contracts.payment import AuthorizePayment, CapturePayment, VoidPayment
from celery_config.errors import OperatorRefused
from celery_config.health import readyz
from celery_config.messaging.deliveries import Call, HeldBack
from celery_config.messaging.holds.hold_list import read_holds, read_row
from celery_config.messaging.models import HoldList, OutboxMessage
from celery_config.saga.conditions import find_lasting_holds
from celery_config.saga.engine import clock, holding, runner, watchdog
from celery_config.saga.engine.chains import CALL, ChainBuilder
from celery_config.saga.engine.machine import CancelRequested, Drive, PivotRan
from celery_config.saga.engine.saga_flow import SAGAS
from celery_config.saga.holds import steering
from celery_config.saga.holds.choosing import (
    MOST_FLOWS,
    choose,
    choose_flows,
    choose_ids,
    count_held_now,
    list_names,
)
from celery_config.saga.holds.models import Hold
from celery_config.saga.holds.reading import count_held_flows
from celery_config.saga.holds.running import HoldRunner, let_go_wave
from celery_config.saga.models import OperatorAction, SagaInstance
from celery_config.saga.operations import operators, timing
from celery_config.saga.operations.explanation import explain
from celery_config.saga.operations.flow_reader import read_flow
from celery_config.saga.operations.history import read_history
from celery_config.saga.operations.timeline import OPERATORS
from order_project.case_file import make_case_file
from order_project.domain import Flow
from order_project.models import Choreography
from order_project.sagas.place_order import PlaceOrderOverHttp
from tests.service.order.conftest import Placed, Shop
from tests.service.together import concurrent, together

pytestmark = pytest.mark.django_db
PassTime = Callable[[float], None]
WHY: Any = {"by": "ada", "why": "the provider is down"}
HOUR = 3600.0


def run_holds() -> None:
    """What the relay does every second."""
    HoldRunner().run()


def hold(kind: str, name: str, **more: Any) -> Hold:
    steering.hold(choose(kind, name), **WHY | more)
    run_holds()
    return Hold.objects.get(ended_at__isnull=True, kind=kind, name=name)


def let_go(held: Hold, **more: Any) -> None:
    steering.let_go(held.pk, **WHY | more)
    run_holds()


def look() -> int:
    return watchdog.redrive_due(SAGAS, clock.now())


@pytest.fixture
def orders(shop: Shop) -> list[Placed]:
    """Four orders, the oldest first, whose first chain was published."""
    placed = sorted((shop.order() for _ in range(4)), key=lambda each: each.saga_id)
    for each in placed:
        each.heard()
    return placed


def find_held(orders: list[Placed]) -> list[bool]:
    return [each.saga.held_since is not None for each in orders]


class TestWhatIsHeld:
    @pytest.mark.parametrize(
        ("kind", "name", "held"),
        [
            ("participant", "payment", True),
            ("participant", "inventory", False),
            ("provider", "payment provider", True),
            ("provider", "carrier", False),
            ("step", "authorize-payment", True),
            ("step", "capture-payment", False),
        ],
    )
    def test_follows_from_the_step_that_a_saga_waits_for(
        self, placed: Placed, kind: str, name: str, held: bool
    ) -> None:
        hold(kind, name)
        assert find_held([placed]) == [held]

    def test_moves_along_with_the_log(self, placed: Placed) -> None:
        held = hold("participant", "inventory")
        assert find_held([placed]) == [False]
        placed.log_as("done", "authorize-payment")
        run_holds()
        assert placed.saga.hold == held.pk
        placed.log_as("done", "reserve-stock")
        run_holds()
        assert find_held([placed]) == [False]

    def test_flows_by_name_wherever_they_stand(self, orders: list[Placed]) -> None:
        steering.hold(choose_ids([orders[1].saga_id]), **WHY)
        run_holds()
        assert find_held(orders) == [False, True, False, False]
        orders[1].log_as("done", "authorize-payment")
        run_holds()
        assert find_held(orders) == [False, True, False, False]

    def test_flows_of_a_filter_as_they_are_now(self, shop: Shop, orders: list[Placed]) -> None:
        orders[0].set(status="completed", due_at=None, ended_at=timezone.now())
        steering.hold(choose_flows(SagaInstance.objects.filter(name="place-order")), **WHY)
        later = shop.order()
        run_holds()
        assert find_held([*orders, later]) == [False, True, True, True, False]

    def test_choreographed_orders_wait_for_the_next_event(self, shop: Shop) -> None:
        row = Choreography.objects.get(pk=shop.place(flow=Flow.CHOREOGRAPHED).order)
        held = hold("provider", "payment provider")
        row.refresh_from_db()
        assert row.hold == held.pk
        let_go(held)
        row.refresh_from_db()
        assert row.held_since is None

    def test_a_hold_of_one_name_is_held_once(self, db: None) -> None:
        hold("participant", "payment")
        with pytest.raises(OperatorRefused, match="payment is held already"):
            hold("participant", "payment")
        one = Hold.objects.get()
        one.pk = UUID(int=1)
        with pytest.raises(IntegrityError), transaction.atomic():
            one.save(force_insert=True)

    @pytest.mark.parametrize(
        ("kind", "name", "says"),
        [
            ("shop", "x", "nothing of the kind 'shop' can be held; there are participant, provider, step"),
            ("step", "x", "no step is called 'x'; there are authorize-payment"),
        ],
    )
    def test_what_is_not_there_is_refused(self, db: None, kind: str, name: str, says: str) -> None:
        with pytest.raises(OperatorRefused, match=says):
            choose(kind, name)

    def test_too_many_flows_are_refused(self, orders: list[Placed], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("celery_config.saga.holds.choosing.MOST_FLOWS", 3)
        with pytest.raises(OperatorRefused, match=f"more than {MOST_FLOWS:,} flows fit"):
            choose_flows(SagaInstance.objects.all())

    def test_flows_that_are_not_under_way_are_refused(self, orders: list[Placed]) -> None:
        orders[0].set(status="parked", due_at=None)
        with pytest.raises(OperatorRefused, match="not under way, or of another kind"):
            choose_ids([each.saga_id for each in orders])
        with pytest.raises(OperatorRefused, match="none of these flows is known"):
            choose_ids([UUID(int=5)])

    def test_a_reason_is_asked_for(self, db: None) -> None:
        with pytest.raises(OperatorRefused, match="say why"):
            steering.hold(choose("participant", "payment"), by="ada", why=" ")
        assert not Hold.objects.exists()

    def test_no_more_is_held_than_workers_can_remember(
        self, shop: Shop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One operator could fill the memory of every worker of every service."""
        monkeypatch.setattr(steering, "MOST_OPEN", 2)
        monkeypatch.setattr(steering, "MOST_NAMED", 3)
        ids = [shop.order().saga_id for _ in range(2)]
        steering.hold(choose_ids(ids), **WHY)
        with pytest.raises(OperatorRefused, match="4 flows would be held by their ids, more than 3"):
            steering.hold(choose_ids(ids), **WHY)
        hold("participant", "payment")
        with pytest.raises(OperatorRefused, match="2 holds last already"):
            hold("participant", "inventory")
        assert len(read_holds(afresh=True)) == 2

    def test_every_call_outside_names_its_provider(self) -> None:
        names = list_names()
        assert names[Hold.Kind.PROVIDER] == ["carrier", "payment provider"]
        assert {AuthorizePayment.provider, VoidPayment.provider, CapturePayment.provider} == {
            "payment provider"
        }


class TestStepsOverRest:
    @pytest.mark.parametrize(("name", "held"), [("payment", True), ("inventory", False)])
    def test_are_held_by_our_own_worker(self, placed: Placed, name: str, held: bool) -> None:
        placed.heard()
        hold("participant", name)
        chain = ChainBuilder(PlaceOrderOverHttp, placed.saga_id, placed.saga.data, attempt=0)
        message = chain.build(Drive("authorize-payment"))
        options = message["options"]
        request = Context(
            id=options["task_id"], args=message["args"], kwargs=message["kwargs"], chain=options["chain"]
        )
        ((_, outcome),) = current_app.tasks[CALL].carry_out([request])
        assert isinstance(outcome, HeldBack if held else Call)
        rows = OutboxMessage.objects.filter(hold__isnull=False, saga=placed.saga_id, name=CALL)
        assert rows.count() == held


class TestTheWatchdog:
    def test_leaves_alone_what_is_held(self, orders: list[Placed], pass_time: PassTime) -> None:
        hold("participant", "payment")
        pass_time(24 * HOUR)
        assert look() == 0
        assert [each.saga.status for each in orders] == ["running"] * 4

    def test_marks_what_is_held_before_its_deadline_stops_it(
        self, placed: Placed, pass_time: PassTime
    ) -> None:
        """The duty that marks has not run yet."""
        placed.heard()
        pass_time(HOUR)
        steering.hold(choose("participant", "payment"), **WHY)
        look()
        assert (placed.saga.status, placed.saga.drives) == ("running", 0)
        assert placed.saga.held_since is not None

    def test_drives_it_on_a_silence_after_it_was_let_go(self, placed: Placed, pass_time: PassTime) -> None:
        placed.heard()
        held = hold("participant", "payment")
        pass_time(HOUR)
        let_go(held)
        assert look() == 0
        pass_time(300)
        assert look() == 1
        assert len(placed.chains) == 1


class TestTheDeadline:
    def test_moves_by_the_time_held(self, placed: Placed, pass_time: PassTime) -> None:
        before = placed.saga.deadline_at
        pass_time(60)
        held = hold("participant", "payment")
        pass_time(HOUR)
        let_go(held)
        assert placed.saga.deadline_at - before == timedelta(hours=1)

    def test_moves_once_however_often_it_is_looked_at(self, placed: Placed, pass_time: PassTime) -> None:
        before = placed.saga.deadline_at
        held = hold("participant", "payment")
        for _ in range(3):
            pass_time(60)
            run_holds()
        let_go(held)
        run_holds()
        pass_time(60)
        run_holds()
        assert placed.saga.deadline_at - before == timedelta(seconds=180)

    def test_does_not_move_while_the_clock_of_all_stands(self, placed: Placed) -> None:
        """Both times are saga time: what stands for all is not counted a second time."""
        before = placed.saga.deadline_at
        held = hold("participant", "payment")
        let_go(held)
        assert placed.saga.deadline_at == before

    def test_of_the_others_stays(self, orders: list[Placed], pass_time: PassTime) -> None:
        before = orders[0].saga.deadline_at
        steering.hold(choose_ids([orders[1].saga_id]), **WHY)
        run_holds()
        pass_time(60)
        let_go(Hold.objects.get())
        assert orders[0].saga.deadline_at == before

    def test_moves_when_one_hold_follows_another(self, placed: Placed, pass_time: PassTime) -> None:
        before = placed.saga.deadline_at
        first, second = hold("participant", "payment"), hold("provider", "payment provider")
        pass_time(60)
        let_go(first)
        assert placed.saga.hold == second.pk
        pass_time(60)
        let_go(second)
        assert placed.saga.deadline_at - before == timedelta(seconds=120)

    def test_patience_does_not_end_by_a_hold(self, placed: Placed, pass_time: PassTime) -> None:
        placed.log_as("done", "authorize-payment", "reserve-stock", "book-shipment", "capture-payment")
        runner.handle_trigger(placed.saga_id, PivotRan())
        placed.heard()
        held = hold("participant", "inventory")
        pass_time(48 * HOUR)
        let_go(held)
        pass_time(600)
        look()
        assert placed.saga.status == "forward"

    def test_a_relay_that_dies_in_a_wave_has_done_all_of_it_or_nothing(
        self, placed: Placed, pass_time: PassTime, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = placed.saga.deadline_at
        held = hold("participant", "payment")
        pass_time(60)
        steering.let_go(held.pk, per_second=10, **WHY)

        def die(_: Any) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr("celery_config.saga.holds.running.reach", die)
            with pytest.raises(KeyboardInterrupt):
                let_go_wave(held.pk)
        held.refresh_from_db()
        assert (held.let_go_to, placed.saga.deadline_at) == (None, before)
        pass_time(60)
        run_holds()
        assert placed.saga.deadline_at - before == timedelta(seconds=120)


class TestTheHistoryOfASaga:
    def read(self, placed: Placed) -> list[str]:
        told = read_history(placed.saga, read_flow(placed.saga))
        return [each.text for each in sorted(told, key=lambda each: each.at) if each.lane == OPERATORS]

    def test_tells_who_held_it_why_and_how_far_its_deadline_moved(
        self, placed: Placed, pass_time: PassTime
    ) -> None:
        held = hold("participant", "payment")
        assert self.read(placed) == [f"held by ada: {WHY['why']} (payment)"]
        pass_time(HOUR)
        run_holds()
        let_go(held)
        _, ended = self.read(placed)
        assert ended.startswith("the hold by ada ended after ")
        assert ended.endswith("; its deadline moved by 1 h")
        assert make_case_file(placed.order, ask=False)["holds"] == placed.saga.held_times
        assert placed.saga.held_times[0]["moved_seconds"] == HOUR

    def test_tells_of_each_hold_that_follows_another(self, placed: Placed, pass_time: PassTime) -> None:
        first, second = hold("participant", "payment"), hold("provider", "payment provider")
        pass_time(60)
        let_go(first)
        pass_time(60)
        let_go(second)
        assert ["moved_seconds" in each for each in placed.saga.held_times] == [False, True]
        assert placed.saga.held_times[1]["moved_seconds"] == 120
        assert len(self.read(placed)) == 4

    def test_tells_that_stopping_it_ends_the_hold(self, placed: Placed, pass_time: PassTime) -> None:
        hold("participant", "payment")
        pass_time(60)
        operators.perform(placed.saga, "compensate", **WHY)
        (held,) = placed.saga.held_times
        assert held["moved_seconds"] == 60

    def test_keeps_the_last_ones_alone(self, placed: Placed, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(holding, "MOST_TIMES", 2)
        for _ in range(3):
            let_go(hold("participant", "payment"))
        assert len(placed.saga.held_times) == 2

    def test_of_one_that_an_older_version_marked_is_empty(self, placed: Placed) -> None:
        held = hold("participant", "payment")
        placed.set(held_times=None)
        let_go(held)
        assert (placed.saga.held_since, placed.saga.held_times) == (None, None)


class TestStoppingWhatIsHeld:
    def test_works_at_once(self, placed: Placed, pass_time: PassTime) -> None:
        placed.heard()
        hold("participant", "payment")
        pass_time(HOUR)
        operators.perform(placed.saga, "compensate", **WHY)
        saga = placed.saga
        assert (saga.status, saga.held_since, saga.hold) == ("stopping", None, None)
        assert len(placed.chains) == 1
        run_holds()
        assert placed.saga.held_since is None

    def test_its_patience_begins_then(self, placed: Placed, pass_time: PassTime) -> None:
        hold("participant", "payment")
        pass_time(HOUR)
        runner.handle_trigger(placed.saga_id, CancelRequested())
        assert placed.saga.since == clock.now()
        assert placed.saga.due_at < clock.now() + timedelta(seconds=300)

    def test_undos_wait_if_they_are_named(self, placed: Placed) -> None:
        hold("participant", "payment", undos=True)
        runner.handle_trigger(placed.saga_id, CancelRequested())
        run_holds()
        assert placed.saga.held_since is not None


class TestWaves:
    def test_the_oldest_go_first(self, orders: list[Placed]) -> None:
        held = hold("participant", "payment")
        let_go(held, per_second=2)
        assert find_held(orders) == [False, False, True, True]
        (known,) = read_holds()
        assert known.let_go_to == orders[1].saga_id

    def test_the_next_one_has_its_time(self, orders: list[Placed]) -> None:
        held = hold("participant", "payment")
        let_go(held, per_second=1)
        run_holds()
        assert find_held(orders) == [False, True, True, True]
        Hold.objects.update(wave_at=timezone.now() - timedelta(seconds=2.1))
        run_holds()
        assert find_held(orders) == [False, False, False, True]

    def test_a_slow_rate_has_waves_of_one(self, orders: list[Placed]) -> None:
        held = hold("participant", "payment")
        let_go(held, per_second=0.1)
        assert find_held(orders) == [False, True, True, True]
        Hold.objects.update(wave_at=timezone.now() - timedelta(seconds=9))
        run_holds()
        assert find_held(orders) == [False, True, True, True]
        Hold.objects.update(wave_at=timezone.now() - timedelta(seconds=11))
        run_holds()
        assert find_held(orders) == [False, False, True, True]

    def test_a_relay_that_was_away_does_not_let_go_of_all_that_it_missed(
        self, orders: list[Placed], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("celery_config.saga.holds.running.LONGEST_WAVE", 2.0)
        held = hold("participant", "payment")
        let_go(held, per_second=1)
        Hold.objects.update(wave_at=timezone.now() - timedelta(hours=1))
        run_holds()
        assert find_held(orders) == [False, False, False, True]

    def test_the_hold_ends_when_nothing_is_left(self, orders: list[Placed]) -> None:
        held = hold("participant", "payment")
        let_go(held, per_second=1000)
        assert find_held(orders) == [False] * 4
        Hold.objects.update(wave_at=timezone.now() - timedelta(seconds=1))
        run_holds()
        held.refresh_from_db()
        assert held.ended_at is not None
        assert read_row().content == []

    def test_what_comes_meanwhile_waits_for_its_turn(self, shop: Shop, orders: list[Placed]) -> None:
        held = hold("participant", "payment")
        let_go(held, per_second=2)
        Hold.objects.update(per_second=0.1)
        later = shop.order()
        run_holds()
        assert find_held([*orders, later]) == [False, False, True, True, True]

    def test_the_rate_may_be_changed_while_it_lasts(self, orders: list[Placed]) -> None:
        held = hold("participant", "payment")
        let_go(held, per_second=1)
        let_go(held)
        assert find_held(orders) == [False] * 4

    @pytest.mark.parametrize("rate", [0, -1, 10**6, float("nan"), float("inf")])
    def test_a_rate_that_makes_no_sense_is_refused(self, db: None, rate: float) -> None:
        held = hold("participant", "payment")
        with pytest.raises(OperatorRefused, match=r"let go of 0\.1 to 1000 flows a second"):
            let_go(held, per_second=rate)

    def test_what_has_ended_is_let_go_once(self, db: None) -> None:
        held = hold("participant", "payment")
        let_go(held)
        with pytest.raises(OperatorRefused, match="payment is not held any more"):
            let_go(held)

    @concurrent
    def test_two_relays_let_go_of_one_wave(self, shop: Shop) -> None:
        orders = sorted((shop.order() for _ in range(4)), key=lambda each: each.saga_id)
        held = hold("participant", "payment")
        steering.let_go(held.pk, per_second=2, **WHY)
        done = together(lambda: let_go_wave(held.pk), lambda: let_go_wave(held.pk))
        assert sorted(done) == [0, 2]
        assert find_held(orders) == [False, False, True, True]

    @concurrent
    def test_two_relays_give_the_time_back_once(self, shop: Shop, pass_time: PassTime) -> None:
        placed = shop.order()
        before = placed.saga.deadline_at
        held = hold("participant", "payment")
        pass_time(60)
        steering.let_go(held.pk, **WHY)
        together(lambda: holding.mark_all([]), lambda: holding.mark_all([]))
        assert placed.saga.deadline_at - before == timedelta(seconds=60)


class TestOneThatFails:
    def test_spoils_no_other(self, orders: list[Placed], monkeypatch: pytest.MonkeyPatch) -> None:
        find_asked = SAGAS.find_asked

        def fail(row: SagaInstance, facts: Any) -> Any:
            if row.pk == orders[1].saga_id:
                raise RuntimeError("its row makes no sense")
            return find_asked(row, facts)

        monkeypatch.setattr(SAGAS, "find_asked", fail)
        hold("participant", "payment")
        assert find_held(orders) == [True, False, True, True]

    def test_a_wave_that_fails_keeps_no_other_from_going(
        self, orders: list[Placed], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        steering.hold(choose_ids([orders[0].saga_id]), **WHY)
        steering.hold(choose_ids([orders[1].saga_id]), **WHY)
        run_holds()
        first, second = Hold.objects.order_by("pk")
        for each in (first, second):
            steering.let_go(each.pk, per_second=1, **WHY)

        def fail(pk: UUID) -> int:
            if pk == first.pk:
                raise RuntimeError("it fails")
            return let_go_wave(pk)

        monkeypatch.setattr("celery_config.saga.holds.running.let_go_wave", fail)
        run_holds()
        assert find_held(orders) == [True, False, False, False]


class TestWhatItCosts:
    def test_nothing_is_looked_through_while_nothing_is_held(self, orders: list[Placed]) -> None:
        run_holds()
        with CaptureQueriesContext(connection) as asked:
            run_holds()
        assert len(asked) <= 4

    def test_statements_do_not_grow_with_the_sagas(self, shop: Shop) -> None:
        held = hold("participant", "payment")
        shop.order()
        with CaptureQueriesContext(connection) as few:
            run_holds()
        for _ in range(4):
            shop.order()
        with CaptureQueriesContext(connection) as many:
            run_holds()
        assert len(many) == len(few)
        assert count_held_flows()[held.pk] == 5


class TestTheList:
    def test_grows_with_each_change(self, db: None) -> None:
        held = hold("participant", "payment")
        first = read_row().version
        let_go(held)
        assert read_row().version == first + 1

    def test_is_read_by_the_other_services(self, placed: Placed, peer: APIClient) -> None:
        held = hold("participant", "payment")
        url = reverse("holds-known")
        said = peer.get(url).json()
        assert [each["id"] for each in said["holds"]] == [str(held.pk)]
        again = peer.get(url, {"epoch": said["epoch"], "version": said["version"]}).json()
        assert again == said | {"holds": None}
        other = peer.get(url, {"epoch": "other", "version": said["version"]}).json()
        assert other == said


class TestOverHttp:
    def test_holds_and_lets_go(self, orders: list[Placed], peer: APIClient) -> None:
        url = reverse("holds")
        named = {"provider": "payment provider"}
        seen = peer.post(reverse("hold-preview"), named, "json")
        assert seen.json() == {"label": "the payment provider", "would_hold": 4}
        assert not Hold.objects.exists()
        done = peer.post(url, named | {"why": "it is down"}, "json", headers={"Idempotency-Key": "k1"})
        assert done.status_code == 201, done.json()
        assert (done.json()["verb"], done.json()["by"], done.json()["why"]) == (
            "hold",
            "operator",
            "it is down",
        )
        again = peer.post(url, named | {"why": "it is down"}, "json", headers={"Idempotency-Key": "k1"})
        assert again.json() == done.json()
        run_holds()
        (shown,) = peer.get(url).json()["results"]
        assert (shown["held"], shown["per_second"], shown["ended_at"]) == (4, None, None)
        gone = peer.post(
            reverse("hold-let-go", args=[shown["id"]]), {"why": "it is up", "per_second": 2.5}, "json"
        )
        assert gone.status_code == 200
        assert "2.5 flows a second" in gone.json()["effect"]
        run_holds()
        assert find_held(orders) == [False, False, True, True]
        assert [*OperatorAction.objects.values_list("verb", flat=True)] == ["let go", "hold"]

    def test_holds_the_flows_of_a_filter(self, orders: list[Placed], peer: APIClient) -> None:
        body = {"kind": "saga.sagainstance", "status": "running", "why": "wait"}
        assert peer.post(reverse("holds"), body, "json").status_code == 201
        run_holds()
        assert find_held(orders) == [True] * 4

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"participant": "payment", "step": "reserve-stock"},
            {"participant": "shop"},
            {"ids": [str(UUID(int=3))]},
            {"kind": "auth.user", "name": "x"},
        ],
    )
    def test_what_makes_no_sense_is_refused(self, placed: Placed, peer: APIClient, body: Any) -> None:
        answer = peer.post(reverse("holds"), body | {"why": "wait"}, "json")
        assert (answer.status_code, answer.json()["code"]) == (409, "operator_refused")
        assert not Hold.objects.exists()


class TestTiming:
    def test_look_at_it_now(self, placed: Placed, peer: APIClient) -> None:
        placed.heard()
        assert look() == 0
        done = peer.post(reverse("saga-look", args=[placed.saga_id]), {"why": "now"}, "json")
        assert done.status_code == 202
        assert look() == 1

    def test_another_deadline(self, placed: Placed, peer: APIClient) -> None:
        done = peer.post(
            reverse("saga-deadline", args=[placed.saga_id]), {"why": "more", "minutes": 90}, "json"
        )
        assert (done.status_code, done.json()["effect"]) == (200, "its deadline is 1 h 30 min from now")
        assert placed.saga.deadline_at - clock.now() == timedelta(minutes=90)

    def test_a_nearer_deadline_is_looked_at_in_time(self, placed: Placed) -> None:
        timing.move_deadline(placed.saga, minutes=1, **WHY)
        assert placed.saga.due_at <= placed.saga.deadline_at

    def test_of_one_that_is_held_counts_from_when_it_is_let_go(
        self, placed: Placed, pass_time: PassTime
    ) -> None:
        held = hold("participant", "payment")
        pass_time(HOUR)
        timing.move_deadline(placed.saga, minutes=10, **WHY)
        pass_time(HOUR)
        let_go(held)
        assert placed.saga.deadline_at - clock.now() == timedelta(minutes=10)

    def test_refuses_what_does_not_fit(self, placed: Placed) -> None:
        hold("participant", "payment")
        with pytest.raises(OperatorRefused, match="an operator holds it"):
            timing.look_now(placed.saga, **WHY)
        placed.set(status="parked", due_at=None)
        with pytest.raises(OperatorRefused, match="nothing looks at"):
            timing.look_now(placed.saga, **WHY)
        with pytest.raises(OperatorRefused, match="has a deadline"):
            timing.move_deadline(placed.saga, minutes=5, **WHY)


class TestWhatIsSeen:
    def test_the_sentence_says_since_when_who_and_why(self, placed: Placed) -> None:
        hold("provider", "payment provider")
        said = explain(read_flow(placed.saga)).text
        assert re.match(
            r"Held since \d\d:\d\d.*: the payment provider is held by ada: the provider is down\."
            r" Its deadline moves by as much\. On its way: payment is asked to authorize the payment\.",
            said,
        ), said

    def test_readiness(self, placed: Placed) -> None:
        hold("participant", "payment")
        said = readyz(None).content.decode()  # type: ignore[arg-type]
        assert "payment is held since" in said
        assert '"ready": true' in said

    def test_the_board(self, orders: list[Placed], admin_client: Client) -> None:
        url = reverse("admin:board", args=["holds"])
        assert "Nothing is held." in admin_client.get(url).content.decode()
        hold("participant", "payment")
        page = unescape(admin_client.get(url).content.decode())
        for shown in ("Payment", "not yet", "ada", ">4<"):
            assert shown in re.sub(r">\s+|\s+<", lambda found: found[0].strip(), page)

    def test_somebody_is_told_of_one_that_lasts(self, orders: list[Placed]) -> None:
        assert [*find_lasting_holds()] == []
        held = hold("participant", "payment")
        (told,) = find_lasting_holds()
        assert told.sentence == "Payment is held, and no operator lets it go: 4 flows wait."
        assert (told.count, told.patience) == (4, 3600)
        steering.let_go(held.pk, per_second=1, **WHY)
        assert [*find_lasting_holds()] == []


class TestPages:
    def text(self, answer: Any) -> str:
        return unescape(re.sub(r"\s+", " ", answer.content.decode()))

    def test_hold_asks_first_and_says_how_many(self, orders: list[Placed], admin_client: Client) -> None:
        url = reverse("admin:holds_hold_start")
        given = {"what": "provider payment provider", "why": "it is down"}
        assert "The payment provider" not in self.text(admin_client.get(url))
        asked = self.text(admin_client.post(url, given))
        assert "4 under way would be held now, and all that come to it later." in asked
        assert not Hold.objects.exists()
        other = given | {"what": "participant inventory", "counted": "provider payment provider "}
        assert "Hold: inventory" in self.text(admin_client.post(url, other)), (
            "another choice is counted first"
        )
        assert not Hold.objects.exists()
        confirmed = given | {"counted": "provider payment provider "}
        done = self.text(admin_client.post(url, confirmed, follow=True))
        assert "the payment provider is held; undos and fences go on" in done
        assert Hold.objects.get().by == "admin"

    def test_let_go(self, orders: list[Placed], admin_client: Client) -> None:
        held = hold("participant", "payment")
        url = reverse("admin:holds_hold_let_go", args=[held.pk])
        assert "Held now: 4 under way" in self.text(admin_client.get(url))
        done = admin_client.post(url, {"per_second": "1", "why": "one as a try"}, follow=True)
        assert "is let go: 1 flow a second" in self.text(done)
        admin_client.post(url, {"per_second": "2", "why": "it is up"})
        held.refresh_from_db()
        assert held.per_second == 2
        admin_client.post(url, {"per_second": "", "why": "all of it"})
        held.refresh_from_db()
        assert held.ended_at is not None
        assert "not held any more" in self.text(admin_client.get(url))

    def test_the_list_shows_how_many_each_holds(self, orders: list[Placed], admin_client: Client) -> None:
        hold("participant", "payment")
        assert "Payment" in self.text(admin_client.get(reverse("admin:holds_hold_changelist")))

    def test_the_page_shows_how_many_it_holds(self, orders: list[Placed], admin_client: Client) -> None:
        url = reverse("admin:holds_hold_change", args=[hold("participant", "payment").pk])
        page = re.sub(r"<[^>]*>|\s", "", admin_client.get(url).content.decode())
        assert "Heldnow4" in page

    def test_one_saga(self, placed: Placed, admin_client: Client) -> None:
        page = reverse("admin:saga_sagainstance_hold", args=[placed.saga_id])
        assert "Hold:" in self.text(admin_client.get(page))
        admin_client.post(page, {"why": "look at it", "confirmed": "yes"})
        run_holds()
        assert find_held([placed]) == [True]

    def test_chosen_sagas(self, orders: list[Placed], admin_client: Client) -> None:
        page = reverse("admin:saga_sagainstance_changelist")
        chosen = {"action": "hold_each", "_selected_action": [str(each.saga_id) for each in orders[:2]]}
        assert "Hold: 2 sagas" in self.text(admin_client.post(page, chosen))
        admin_client.post(page, chosen | {"why": "look at them", "confirmed": "yes"})
        run_holds()
        assert find_held(orders) == [True, True, False, False]

    def test_look_now_and_deadline(self, placed: Placed, admin_client: Client) -> None:
        placed.heard()
        admin_client.post(reverse("admin:saga_sagainstance_look_now", args=[placed.saga_id]), {"why": "now"})
        assert look() == 1
        deadline = reverse("admin:saga_sagainstance_deadline", args=[placed.saga_id])
        admin_client.post(deadline, {"why": "more", "minutes": "45"})
        assert placed.saga.deadline_at - clock.now() == timedelta(minutes=45)


@pytest.mark.parametrize("address", ["holds", "hold-preview"])
def test_dead_letters_are_not_held(peer: APIClient, address: str) -> None:
    """A batch may be of them, and a hold may not."""
    asked = {"kind": "saga.deadletter", "fingerprint": "x"} | ({"why": "x"} if address == "holds" else {})
    answer = peer.post(reverse(address), asked, "json")
    assert answer.status_code == 409, answer.content
    assert "there is no kind 'saga.deadletter'" in answer.json()["detail"]


def test_preview_changes_nothing(orders: list[Placed]) -> None:
    assert count_held_now(choose("participant", "payment"), undos=False) == 4
    assert find_held(orders) == [False] * 4
    assert not HoldList.objects.exclude(content=[]).exists()
