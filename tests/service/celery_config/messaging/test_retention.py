"""Retention deletes only rows that no message can need any more."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from celery.exceptions import Reject
from django.db import transaction
from django.utils import timezone
from rest_framework.test import APIClient
from structlog.testing import capture_logs

from celery_config.common import metrics
from celery_config.common.identifiers import uuid7
from celery_config.contracts.base import command_id
from celery_config.errors import OperatorRefused, ServiceUnavailable
from celery_config.messaging import retention
from celery_config.messaging.barrier import actions, manual
from celery_config.messaging.barrier.steps import StepRequest
from celery_config.messaging.deliveries import Delivery
from celery_config.messaging.models import BarrierRow
from celery_config.messaging.retention import BarrierRetention, SagaEnds
from celery_config.participant.handlers import StepMessage, run_deduplicated
from tests.service.celery_config.conftest import Hotel
from tests.service.together import concurrent, count_waiting, in_background, until, until_waiting_for_a_lock
from tests.trip import BookHotel

pytestmark = pytest.mark.django_db
DAYS = 90


def ago(days: float) -> datetime:
    return timezone.now() - timedelta(days=days)


def row(saga: UUID, *, days: float, action: str = "done", undo: str = "") -> UUID:
    key = command_id(saga, "hotel", "do")
    BarrierRow.objects.create(
        key=key, saga=saga, step="hotel", command="inventory.book_hotel", action=action, undo=undo,
        created_at=ago(days),
    )  # fmt: skip
    return key


@dataclass
class Orchestrator:
    """What it answers: every saga has ended, except those that are open and those that it does not know."""

    open: set[UUID] = field(default_factory=set)
    unknown: set[UUID] = field(default_factory=set)
    away: bool = False
    asked: list[set[UUID]] = field(default_factory=list)

    def __call__(self, sagas: Collection[UUID]) -> SagaEnds:
        self.asked.append({*sagas})
        if self.away:
            raise ServiceUnavailable("nobody listens")
        known = {*sagas} - self.unknown
        return SagaEnds(ended=frozenset(known - self.open), open=frozenset(known & self.open))


@pytest.fixture
def orchestrator(monkeypatch: pytest.MonkeyPatch) -> Orchestrator:
    answers = Orchestrator()
    monkeypatch.setattr(retention, "ask_orchestrator", answers)
    return answers


@pytest.fixture
def sweep(orchestrator: Orchestrator) -> Callable[..., None]:
    """One run of a relay that has just started."""
    return lambda **options: BarrierRetention(orchestrator).run(**options)


def kept() -> set[UUID]:
    return set(BarrierRow.objects.values_list("saga", flat=True))


class TestBarrier:
    def test_rows_of_sagas_past_the_horizon_go_and_the_others_stay(self, sweep: Callable[[], None]) -> None:
        row(uuid7(ago(DAYS + 2)), days=DAYS + 2)
        young = uuid7(ago(DAYS - 1))
        row(young, days=DAYS - 1)
        sweep()
        assert kept() == {young}

    @pytest.mark.parametrize(("action", "undo"), [("intent", ""), ("done", "intent")])
    def test_one_with_an_open_call_is_never_forgotten(
        self, sweep: Callable[[], None], action: str, undo: str
    ) -> None:
        """Rule 8 (effects outside): the provider may hold something, and only this row knows under which key."""
        row(uuid7(ago(400)), days=400, action=action, undo=undo)
        sweep()
        assert BarrierRow.objects.count() == 1

    @pytest.mark.parametrize("action", ["done", "refused", "tombstone"])
    def test_a_saga_that_is_open_keeps_its_rows_however_old(
        self, sweep: Callable[[], None], orchestrator: Orchestrator, action: str
    ) -> None:
        """Rule 5 (the barrier): what it did must be undone some day, and its fence must be answered."""
        old = uuid7(ago(400))
        row(old, days=400, action=action)
        orchestrator.open = {old}
        sweep()
        assert kept() == {old}
        orchestrator.open = set()
        sweep()
        assert kept() == set()

    def test_whatever_may_still_be_carried_out_is_kept(self, sweep: Callable[[], None]) -> None:
        """A row goes only when what comes for its saga is refused already, however the clocks differ."""
        for days in (DAYS - 0.5, DAYS + 0.5, DAYS + 1.5):
            saga = uuid7(ago(days))
            row(saga, days=days)
            sweep()
            assert saga in kept() or retention.is_too_old(saga)

    def test_many_sagas_are_asked_about_at_once_and_those_that_stay_hold_up_nothing(
        self, sweep: Callable[..., None], orchestrator: Orchestrator
    ) -> None:
        sagas = sorted(uuid7(ago(DAYS + 2 + n)) for n in range(7))
        for saga in sagas:
            row(saga, days=DAYS + 2)
        orchestrator.open, orchestrator.unknown = {*sagas[:2]}, {*sagas[2:4]}
        sweep(sagas=3)
        assert [len(asked) for asked in orchestrator.asked] == [3, 3, 1]
        assert kept() == {*sagas[:4]}

    def test_what_stays_is_asked_about_again_after_an_hour_only(
        self, orchestrator: Orchestrator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        old, relay = uuid7(ago(400)), BarrierRetention(orchestrator)
        row(old, days=400)
        orchestrator.open = {old}
        for _ in range(3):
            relay.run()
        assert len(orchestrator.asked) == 1
        monkeypatch.setattr(retention, "WALK_SECONDS", 0.0)
        relay.walk_at = 0.0
        relay.run()
        assert len(orchestrator.asked) == 2

    def test_without_an_answer_nothing_is_deleted(self, orchestrator: Orchestrator) -> None:
        row(uuid7(ago(DAYS + 3)), days=DAYS + 3)
        orchestrator.away, relay = True, BarrierRetention(orchestrator)
        for _ in range(3):
            relay.run()
        assert (BarrierRow.objects.count(), len(orchestrator.asked)) == (1, 1)
        orchestrator.away, relay.ask_at = False, 0.0
        relay.run()
        assert not BarrierRow.objects.exists()
        assert metrics.BARRIER_UNANSWERED._value.get() == 0

    @pytest.mark.parametrize("away", [True, False])
    def test_what_nobody_knows_is_seen_after_a_week(self, orchestrator: Orchestrator, away: bool) -> None:
        """Because its orchestrator is away, or because no orchestrator knows of it."""
        old = uuid7(ago(DAYS + 10))
        row(old, days=DAYS + 10)
        orchestrator.away, orchestrator.unknown = away, {old}
        with capture_logs() as logs:
            BarrierRetention(orchestrator).run()
        assert kept() == {old}
        late = timedelta(seconds=metrics.BARRIER_UNANSWERED._value.get())
        assert timedelta(days=8) < late < timedelta(days=10)
        said = [log["oldest"] for log in logs if log["event"] == "nobody says whether an old saga has ended"]
        assert said == [str(old)]

    def test_the_audit_is_told_of_it(self, orchestrator: Orchestrator, peer: APIClient) -> None:
        """Without the relay, whose gauge shows it, too."""

        def ask() -> str:
            told: str = peer.get("/api/outbox/").json()["unanswered"]
            return told

        assert ask() == ""
        row(uuid7(ago(DAYS + 7)), days=DAYS + 7)
        assert (ask(), orchestrator.asked) == ("", [])  # not for a week yet
        old, other = uuid7(ago(DAYS + 10)), uuid7(ago(DAYS + 9))
        for saga in (old, other):
            row(saga, days=DAYS + 9)
        assert ask() == ""
        orchestrator.open, orchestrator.unknown = {other}, {old}
        assert ask() == f"barrier rows of 1 old sagas are kept: the order service does not know {old}"
        orchestrator.away = True
        assert ask() == (
            f"barrier rows of {old} and other old sagas are kept: the order service does not say whether they have"
            " ended"
        )

    def test_where_less_is_kept_the_margin_is_less(self, sweep: Callable[[], None], settings: Any) -> None:
        settings.SAGA_RETENTION_DAYS = 0.5
        row(uuid7(ago(0.6)), days=0.6)
        young = uuid7(ago(0.52))
        row(young, days=0.52)
        sweep()
        assert kept() == {young}

    @concurrent
    def test_a_row_that_is_taken_up_again_meanwhile_stays(self, orchestrator: Orchestrator) -> None:
        """An undo came after the orchestrator had answered: the row has an open call now."""
        row(uuid7(ago(400)), days=400)
        with transaction.atomic():
            BarrierRow.objects.update(undo="intent")
            relay = in_background(BarrierRetention(orchestrator).run)
            until_waiting_for_a_lock()
        relay.result(20)
        assert BarrierRow.objects.count() == 1


class TestTooOld:
    @staticmethod
    def carried_out(*sagas: UUID) -> tuple[list[Any], list[UUID]]:
        done: list[UUID] = []

        def carry_out(_: str, steps: Any) -> list[Any]:
            done.extend(step.saga for step in steps)
            return ["done"] * len(steps)

        return run(carry_out, *sagas), done

    def test_what_comes_for_a_saga_whose_rows_may_be_gone_is_not_carried_out(
        self, orchestrator: Orchestrator
    ) -> None:
        """It might be carried out twice; its dead letter leads to the saga."""
        old, strange, young = uuid7(ago(DAYS + 0.1)), uuid7(ago(DAYS + 3)), uuid7()
        orchestrator.unknown = {strange}
        outcomes, done = self.carried_out(old, strange, young)
        assert done == [young]
        assert outcomes[2] == "done"
        for outcome in outcomes[:2]:
            assert isinstance(outcome, Reject)
            assert not outcome.requeue

    def test_what_comes_first_for_a_saga_that_is_open_is_carried_out(
        self, orchestrator: Orchestrator
    ) -> None:
        """Rule 7 (the undo): its rows are never deleted, so a step without one never came. Its undo must end."""
        old = uuid7(ago(DAYS + 30))
        orchestrator.open = {old}
        assert self.carried_out(old) == (["done"], [old])

    def test_what_nobody_can_answer_for_waits(self, orchestrator: Orchestrator) -> None:
        """Rule 10 (locks and retries): it is tried again later, which does not count as a try."""
        orchestrator.away = True
        (outcome,), done = self.carried_out(uuid7(ago(DAYS + 30)))
        assert (type(outcome), done) == (ServiceUnavailable, [])

    def test_while_its_row_is_there_it_is_carried_out_and_nobody_is_asked(
        self, orchestrator: Orchestrator
    ) -> None:
        """Rule 8 (effects outside): an open call must be settled, however long its saga was parked."""
        old = uuid7(ago(DAYS + 30))
        row(old, days=DAYS + 30, action="intent")
        assert self.carried_out(old) == (["done"], [old])
        assert orchestrator.asked == []

    @concurrent
    def test_a_late_twin_is_answered_from_the_row_that_retention_waits_for(
        self, hotel: Hotel, orchestrator: Orchestrator
    ) -> None:
        """Rule 5 (the barrier): the look at the row and the claim are one transaction."""
        hotel.saga = uuid7(ago(DAYS + 5))
        reply = hotel.act()
        BarrierRow.objects.update(created_at=ago(DAYS + 5))
        relays: list[Any] = []

        def carry_out(_: str, steps: Any) -> list[Any]:
            relay = in_background(BarrierRetention(orchestrator).run)
            relays.append(relay)
            until(lambda: relay.done() or count_waiting(), "the relay has deleted the row, or waits for it")
            return actions.run_actions(hotel.book_handler, steps)

        step = hotel.step("do", BookHotel(trip=hotel.trip, nights=3))
        (outcome,) = run(carry_out, hotel.saga, step=step)
        relays[0].result(20)
        assert (outcome, hotel.bookings) == (reply, 1)


def test_settling_by_hand_does_not_say_that_what_was_forgotten_never_came() -> None:
    asked: dict[str, Any] = {
        "task": "inventory.book_hotel", "step": "hotel", "operation": "do", "subject": "", "command": {},
        "answer": {}, "note": "",
    }  # fmt: skip
    with pytest.raises(OperatorRefused, match="or its barrier row was deleted"):
        manual.settle_manually(lambda _: None, saga=uuid7(ago(400)), **asked)
    with pytest.raises(OperatorRefused, match="hotel has no barrier row here: "):
        manual.settle_manually(lambda _: None, saga=uuid7(), **asked)


def run(carry_out: Any, *sagas: UUID, step: StepRequest | None = None) -> list[Any]:
    deliveries: list[Delivery[Any]] = [
        Delivery(
            SimpleNamespace(),  # type: ignore[arg-type]
            StepMessage(saga=saga, step="hotel", operation="do", attempt=0, command={}),
        )
        for saga in sagas
    ]
    return run_deduplicated(
        deliveries, lambda d: step or StepRequest(d.message.saga, "hotel", "do", ""), carry_out
    )
