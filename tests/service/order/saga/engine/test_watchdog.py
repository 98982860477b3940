"""The watchdog: it drives the silent again, stops the late, parks what cannot end (rule 17, the watchdog)."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Collection, Sequence
from datetime import timedelta
from typing import Any

import pytest
from celery import Celery, current_app
from django.conf import settings
from django.db import OperationalError, transaction
from django.db.models import JSONField, Value

from celery_config.db.functions import Now
from celery_config.messaging import trouble
from celery_config.messaging.models import OutboxMessage
from celery_config.messaging.outbox import publishing
from celery_config.saga import duties, measures
from celery_config.saga.engine import clock, hindrances, runner, watchdog
from celery_config.saga.engine.backlogs import Backlogs
from celery_config.saga.engine.chains import LARGEST_CHAIN
from celery_config.saga.engine.machine import PivotRan
from celery_config.saga.engine.saga_flow import SAGAS
from celery_config.saga.engine.standstill import StandstillCheck
from celery_config.saga.models import SagaClock, SagaInstance
from order_project.sagas.place_order import PlaceOrder
from tests.service.order.conftest import REPLIES, Placed, Shop
from tests.service.order.saga.engine.test_runner import ACTIONS, DRIVE, STOP
from tests.service.together import concurrent, in_background

pytestmark = pytest.mark.django_db
PassTime = Callable[[float], None]
SILENCE = settings.TIMES.silence_timeout


def look() -> int:
    return watchdog.redrive_due(SAGAS, clock.now())


def wait_of(placed: Placed) -> float:
    return float((placed.saga.due_at - clock.now()).total_seconds())


@pytest.fixture
def silent(placed: Placed, pass_time: PassTime) -> Placed:
    """An order whose first chain was published and of which nothing was heard since."""
    placed.heard()
    pass_time(1.2 * SILENCE)
    return placed


class TestWhatIsLookedAt:
    def test_nothing_before_its_time(self, placed: Placed) -> None:
        placed.heard()
        assert look() == 0
        assert placed.chains == []

    def test_not_while_we_have_not_spoken(self, placed: Placed, pass_time: PassTime) -> None:
        """Rule 17: nothing while the saga's outbox row is unpublished; a retry that waits is one, too."""
        pass_time(1.2 * SILENCE)
        assert look() == 0
        placed.heard()
        assert look() == 1

    @pytest.mark.parametrize("status", ["completed", "compensated", "parked"])
    def test_not_what_has_ended_or_waits_for_a_human(self, silent: Placed, status: str) -> None:
        """Rule 25."""
        silent.set(status=status)
        assert look() == 0

    def test_the_longest_overdue_first_and_so_many_at_once(
        self, shop: Shop, pass_time: PassTime, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Rule 17: small batches."""
        orders = [shop.order() for _ in range(3)]
        for n, placed in enumerate(orders):
            placed.heard()
            placed.set(due_at=clock.now() - timedelta(seconds=n))
        monkeypatch.setattr(watchdog, "BATCH", 2)
        assert look() == 2
        assert [len(placed.chains) for placed in orders] == [0, 1, 1]

    def test_one_whose_version_nobody_knows_does_not_stand_in_the_way(
        self, shop: Shop, pass_time: PassTime, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Rule 24: else it would be the longest overdue for ever."""
        unknown, known = shop.order(), shop.order()
        for placed in (unknown, known):
            placed.heard()
        unknown.set(version=99, due_at=clock.now() - timedelta(hours=1))
        pass_time(1.2 * SILENCE)
        monkeypatch.setattr(watchdog, "BATCH", 1)
        look()
        look()
        assert len(known.chains) == 1
        assert 0 < wait_of(unknown) <= SILENCE

    @pytest.mark.parametrize("unknown", [{"version": 99}, {"name": "sell-the-shop"}])
    def test_one_that_nobody_knows_is_parked_when_it_was_silent_for_longer_than_a_deadline(
        self, silent: Placed, pass_time: PassTime, unknown: dict[str, Any]
    ) -> None:
        """Rule 24: during a deploy another worker may know it; for good it must not be found again and again."""
        silent.set(**unknown)
        look()
        assert silent.saga.status == "running"
        assert measures.check_definitions().startswith("warning: no definition here knows")
        pass_time(settings.TIMES.deadline(PlaceOrder.deadline))
        look()
        assert silent.saga.status == "parked"
        assert "this code does not know its name and version" in silent.saga.cause["parked"]
        assert measures.check_definitions().startswith("no definition here knows")
        pass_time(SILENCE)
        assert look() == 0

    @concurrent
    def test_not_what_another_relay_has_in_hand(self, shop: Shop) -> None:
        """Rule 17: SKIP LOCKED."""
        busy, free = shop.order(), shop.order()
        for placed in (busy, free):
            placed.heard()
            placed.set(due_at=clock.now())
        locked, go = threading.Event(), threading.Event()

        def hold() -> None:
            with transaction.atomic():
                SagaInstance.objects.select_for_update().get(pk=busy.saga_id)
                locked.set()
                assert go.wait(20)

        holder = in_background(hold)
        assert locked.wait(20)
        assert look() == 1
        go.set()
        holder.result(20)
        assert (len(busy.chains), len(free.chains)) == (0, 1)


class TestARowThatCannotBeDriven:
    """One poisoned row stops nobody else."""

    def test_it_is_parked_and_the_others_are_driven(self, shop: Shop, pass_time: PassTime) -> None:
        before, poisoned, after = [shop.order() for _ in range(3)]
        for placed in (before, poisoned, after):
            placed.heard()
        poisoned.set(data=poisoned.saga.data | {"payment_token": "x" * 200_000})
        pass_time(1.2 * SILENCE)
        assert look() == 2
        assert (before.chains, after.chains) == ([DRIVE], [DRIVE])
        saga = poisoned.saga
        assert (saga.status, saga.due_at, saga.owner) == ("parked", None, settings.PARKED_OWNER)
        assert saga.cause["parked"].startswith("it cannot be driven: the messages of this saga take 2")
        assert saga.fingerprint == "cannot be driven: its messages are too large"
        assert poisoned.decisions() == ["running parked"]
        assert look() == 0

    @pytest.mark.parametrize("data", [[], None, {}, [1], "x", {"order": 7}])
    def test_one_whose_data_cannot_be_read_says_so(self, silent: Placed, data: Any) -> None:
        silent.set(data=Value(data, JSONField()))
        look()
        assert silent.saga.status == "parked"
        assert silent.saga.cause["parked"].startswith("it cannot be driven: its data cannot be read: ")

    def test_a_callback_that_fails_for_one_row_holds_up_no_other(
        self, shop: Shop, pass_time: PassTime, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        orders = [shop.order() for _ in range(5)]
        for placed in orders:
            placed.heard()
        pass_time(1.2 * SILENCE)
        finish = SAGAS.finish

        def fail_for_one(transitions: Any, facts: Any) -> None:
            if any(each.row.pk == orders[3].saga_id and each.after == "running" for each in transitions):
                raise ValueError("it has a fault of its own")
            finish(transitions, facts)

        monkeypatch.setattr(SAGAS, "finish", fail_for_one)
        assert look() == 4
        assert [placed.saga.status for placed in orders].count("running") == 4
        assert orders[3].saga.cause["parked"] == "it cannot be driven: it has a fault of its own"

    def test_a_database_that_is_away_is_no_fault_of_a_row(
        self, silent: Placed, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: Any) -> None:
            raise OperationalError("the connection was lost")

        monkeypatch.setattr(SAGAS, "finish", fail)
        with pytest.raises(OperationalError):
            look()
        assert silent.saga.status == "running"

    def test_an_order_of_the_largest_size_is_driven_again(self, shop: Shop, pass_time: PassTime) -> None:
        """Rule 4 (small chains): each later attempt is a little longer than the first."""
        placed = shop.order()
        (first,) = placed.messages
        missing = LARGEST_CHAIN - len(json.dumps(first))
        token = placed.saga.data["payment_token"]
        placed.set(data=placed.saga.data | {"payment_token": token + "x" * missing})
        placed.heard()
        pass_time(1.2 * SILENCE)
        look()
        assert placed.saga.status == "running"
        (again,) = placed.messages
        assert len(json.dumps(again)) >= LARGEST_CHAIN


class TestAMessageThatWaitsForLater:
    """A retry over REST waits in the outbox while its participant is away."""

    @pytest.fixture
    def waiting(self, placed: Placed) -> Placed:
        OutboxMessage.objects.filter(saga=placed.saga_id).update(due_at=Now() + timedelta(minutes=1))
        return placed

    def test_it_is_not_driven_beside_its_retry(self, waiting: Placed, pass_time: PassTime) -> None:
        pass_time(1.2 * SILENCE)
        assert look() == 0

    def test_past_its_deadline_it_is_stopped(self, waiting: Placed, pass_time: PassTime) -> None:
        pass_time((waiting.saga.deadline_at - clock.now()).total_seconds())
        assert look() == 1
        assert waiting.saga.status == "stopping"
        assert waiting.saga.cause["code"] == "deadline_passed"

    def test_what_was_never_sent_waits_past_its_deadline(self, placed: Placed, pass_time: PassTime) -> None:
        """Its route takes nothing: we are down, not the order."""
        pass_time(3600)
        assert look() == 0


class TestAMessageThatWasSentLate:
    """Its route took nothing for a while; that is no reason to end the saga."""

    def test_its_deadline_and_its_next_check_move(self, placed: Placed, shop: Shop) -> None:
        other, before = shop.order().saga, placed.saga
        watchdog.give_time_back({before.pk: 600.0})
        assert placed.saga.deadline_at == before.deadline_at + timedelta(minutes=10)
        assert placed.saga.due_at == before.due_at + timedelta(minutes=10)
        assert SagaInstance.objects.get(pk=other.pk).deadline_at == other.deadline_at

    def test_the_relay_says_so_when_it_publishes(self, placed: Placed, settings: Any) -> None:
        duties.saga_duties()
        duties.saga_duties()
        assert publishing.late_publish_observers.count(watchdog.give_time_back) == 1
        before = placed.saga
        OutboxMessage.objects.filter(saga=before.pk).update(due_at=Now() - timedelta(minutes=10))

        class TakesAll:
            held: set[str] = set()
            faults: dict[int, str] = {}

            def publish(self, messages: Sequence[Any]) -> set[int]:
                return set(range(len(messages)))

        assert publishing.publish_batch(TakesAll(), 10) > 0  # type: ignore[arg-type]
        moved = (placed.saga.deadline_at - before.deadline_at).total_seconds()
        assert 600 <= moved < 660

    def test_one_that_has_ended_stays_as_it_is(self, placed: Placed) -> None:
        placed.set(status="completed", due_at=None)
        before = placed.saga
        watchdog.give_time_back({before.pk: 600.0})
        assert (placed.saga.deadline_at, placed.saga.due_at) == (before.deadline_at, None)


class TestRunning:
    def test_it_is_driven_from_the_first_step_the_log_does_not_know(self, silent: Placed) -> None:
        silent.log_as("done", "authorize-payment", "reserve-stock")
        look()
        assert silent.chains == [[*ACTIONS[2:], "order.complete"]]
        assert set(silent.messages[0]["args"][0]) == {"authorize-payment", "reserve-stock"}
        assert silent.saga.status == "running"

    def test_the_waits_double_and_are_jittered(self, silent: Placed, pass_time: PassTime) -> None:
        """Rule 17."""
        silent.set(deadline_at=clock.now() + timedelta(days=1))
        for drives in range(1, 5):
            look()
            assert silent.saga.drives == drives
            assert 0.9 * SILENCE * 2**drives <= wait_of(silent) <= 1.1 * SILENCE * 2**drives
            silent.heard()
            pass_time(wait_of(silent))

    def test_it_is_left_alone_while_its_log_moves(self, silent: Placed) -> None:
        """A long queue is no silence."""
        silent.saga.steps.filter(name="authorize-payment").update(logged="done", updated_at=Now())
        assert look() == 1
        assert silent.chains == []
        assert silent.saga.drives == 0
        assert wait_of(silent) == pytest.approx(SILENCE, abs=1)

    def test_the_watchdog_never_looks_later_than_the_deadline(self, silent: Placed) -> None:
        silent.set(deadline_at=clock.now() + timedelta(seconds=10))
        look()
        assert silent.saga.due_at == silent.saga.deadline_at

    def test_past_its_deadline_it_is_stopped(self, silent: Placed, pass_time: PassTime) -> None:
        """Rule 17: even while it moves."""
        silent.saga.steps.filter(name="authorize-payment").update(logged="done", updated_at=Now())
        silent.set(due_at=silent.saga.deadline_at)
        pass_time(900 * settings.TIMES.scale)
        look()
        assert silent.chains == [STOP]
        assert silent.saga.status == "stopping"
        assert silent.saga.cause["code"] == "deadline_passed"
        assert silent.saga.drives == 0


class TestStopping:
    @pytest.fixture
    def stopping(self, silent: Placed, pass_time: PassTime) -> Placed:
        runner.request_stop(silent.saga_id, code="cancelled", reason="by ada")
        silent.heard()
        pass_time(1.2 * SILENCE)
        return silent

    def test_the_whole_stop_chain_is_driven_again(self, stopping: Placed) -> None:
        """Rule 15: whatever the log says was undone already."""
        stopping.log_as("undone", "book-shipment", "reserve-stock")
        look()
        assert stopping.chains == [STOP]
        assert stopping.saga.status == "stopping"
        assert stopping.saga.cause["code"] == "cancelled"

    def test_it_is_not_put_off_by_news(self, stopping: Placed) -> None:
        stopping.saga.steps.filter(name="book-shipment").update(logged="undone", updated_at=Now())
        look()
        assert stopping.chains == [STOP]

    def test_a_deadline_does_not_matter_any_more(self, stopping: Placed) -> None:
        stopping.set(deadline_at=clock.now())
        look()
        assert stopping.saga.status == "stopping"

    def test_after_a_day_of_drives_a_human_is_asked(self, stopping: Placed, pass_time: PassTime) -> None:
        """Rules 15 and 18: parking sends nothing and keeps the reason."""
        pass_time(settings.TIMES.compensation_timeout)
        look()
        assert (stopping.saga.status, stopping.saga.due_at, stopping.chains) == ("parked", None, [])
        assert stopping.saga.cause["code"] == "cancelled"
        assert stopping.order.status == "placed"

    def test_parking_one_does_not_touch_another(
        self, stopping: Placed, shop: Shop, pass_time: PassTime
    ) -> None:
        """Rule 15."""
        pass_time(settings.TIMES.compensation_timeout)
        other = shop.order()
        look()
        assert other.saga.status == "running"
        assert other.chains == [DRIVE]


class TestForward:
    @pytest.fixture
    def forward(self, silent: Placed, pass_time: PassTime) -> Placed:
        silent.log_as("done", "authorize-payment", "reserve-stock", "book-shipment", "capture-payment")
        runner.handle_trigger(silent.saga_id, PivotRan())
        silent.heard()
        pass_time(1.2 * SILENCE)
        return silent

    def test_it_is_driven_on(self, forward: Placed) -> None:
        look()
        assert forward.chains == [[*ACTIONS[4:], "order.complete"]]

    def test_no_deadline_ever_stops_it(self, forward: Placed, pass_time: PassTime) -> None:
        """Rule 13: forward never stops."""
        pass_time(2000)
        look()
        assert forward.saga.status == "forward"
        assert forward.chains == [[*ACTIONS[4:], "order.complete"]]

    def test_with_everything_done_only_the_end_is_sent(self, forward: Placed) -> None:
        forward.log_as("done", "commit-stock", "dispatch-shipment")
        look()
        assert forward.chains == [["order.complete"]]

    def test_after_a_day_of_drives_a_human_is_asked(self, forward: Placed, pass_time: PassTime) -> None:
        """Rule 14."""
        pass_time(settings.TIMES.compensation_timeout)
        look()
        assert (forward.saga.status, forward.chains) == ("parked", [])


class TestBacklog:
    """Rule 17: what waits for its turn in a queue that is being worked off is neither silent nor late."""

    IN_HAND = settings.TIMES.in_hand
    LONGEST = settings.TIMES.longest_queued(900)

    @pytest.fixture
    def backlogs(self, placed: Placed) -> Backlogs:
        """Payment's new work: a hundred messages, the order's among them."""
        backlogs = Backlogs(timedelta(seconds=self.IN_HAND))
        backlogs.note({"payment.commands": 100}, clock.now())
        placed.heard()
        return backlogs

    @staticmethod
    def look(backlogs: Backlogs) -> int:
        return watchdog.redrive_due(SAGAS, clock.now(), backlogs)

    def test_nothing_is_sent_and_no_deadline_passes(
        self, placed: Placed, backlogs: Backlogs, pass_time: PassTime
    ) -> None:
        pass_time(1.2 * SILENCE)
        looks = 0
        while clock.now() < placed.saga.since + timedelta(seconds=2 * 900 * settings.TIMES.scale):
            backlogs.note({"payment.commands": 100 - looks}, clock.now())
            assert self.look(backlogs) == 1
            assert (placed.chains, placed.saga.status, placed.saga.drives) == ([], "running", 0)
            assert placed.saga.deadline_at >= placed.saga.due_at + timedelta(seconds=SILENCE)
            assert wait_of(placed) == pytest.approx(SILENCE, abs=0.1)
            pass_time(SILENCE)
            looks += 1
        assert looks > 10

    def test_once_all_that_was_there_is_gone_it_is_driven(
        self, placed: Placed, backlogs: Backlogs, pass_time: PassTime
    ) -> None:
        """The queue is not empty: others came after it."""
        pass_time(1.2 * SILENCE)
        backlogs.note({"payment.commands": 250}, clock.now())
        self.look(backlogs)
        pass_time(SILENCE)
        backlogs.note({"payment.commands": 30}, clock.now())
        self.look(backlogs)
        assert placed.chains == []
        pass_time(self.IN_HAND)
        for length in (100, 20, 60, 30):
            backlogs.note({"payment.commands": length}, clock.now())
        pass_time(1.1 * self.IN_HAND)
        backlogs.note({"payment.commands": 40}, clock.now())
        self.look(backlogs)
        assert placed.chains == [DRIVE]

    def test_what_a_worker_may_have_in_hand_is_not_sent_again(
        self, placed: Placed, backlogs: Backlogs, pass_time: PassTime
    ) -> None:
        pass_time(1.2 * SILENCE)
        backlogs.note({"payment.commands": 0}, clock.now())
        self.look(backlogs)
        assert placed.chains == []
        pass_time(SILENCE)
        backlogs.note({"payment.commands": 0}, clock.now())
        self.look(backlogs)
        assert placed.chains == [DRIVE]

    def test_after_a_long_wait_it_has_time_for_the_rest(
        self, placed: Placed, backlogs: Backlogs, pass_time: PassTime
    ) -> None:
        pass_time(900 * settings.TIMES.scale)
        backlogs.note({"payment.commands": 90}, clock.now())
        self.look(backlogs)
        backlogs.note({"payment.commands": 0}, clock.now())
        pass_time(SILENCE)
        self.look(backlogs)
        assert (placed.saga.status, placed.chains) == ("running", [DRIVE])

    def test_after_four_deadlines_it_is_stopped_and_says_why(
        self, placed: Placed, backlogs: Backlogs, pass_time: PassTime
    ) -> None:
        pass_time(1.2 * SILENCE)
        backlogs.note({"payment.commands": 90}, clock.now())
        self.look(backlogs)
        pass_time(self.LONGEST)
        backlogs.note({"payment.commands": 80}, clock.now())
        self.look(backlogs)
        assert (placed.saga.status, placed.chains) == ("stopping", [STOP])
        assert placed.saga.cause["code"] == "queued_too_long"

    @pytest.mark.parametrize(
        ("done", "queue", "waits"),
        [
            (0, "payment.commands", True),
            (0, "payment.urgent", False),
            (0, "inventory.commands", False),
            (1, "inventory.commands", True),
            (3, "payment.urgent", True),
            (3, "payment.commands", False),
            (6, "order.urgent", True),
            (2, "order.events", True),
        ],
    )
    def test_it_waits_where_its_next_step_or_the_news_of_it_is(
        self, silent: Placed, done: int, queue: str, waits: bool
    ) -> None:
        """An event of a step that is done may wait as well."""
        silent.log_as("done", *list(REPLIES)[:done])
        backlogs = Backlogs()
        backlogs.note({queue: 10}, clock.now())
        self.look(backlogs)
        assert (silent.chains == []) is waits

    def test_a_stop_chain_that_waits_is_not_sent_again(self, silent: Placed, pass_time: PassTime) -> None:
        runner.request_stop(silent.saga_id, code="cancelled", reason="by ada")
        silent.heard()
        pass_time(1.2 * SILENCE)
        backlogs = Backlogs()
        backlogs.note({"payment.urgent": 10}, clock.now())
        self.look(backlogs)
        assert silent.chains == []
        pass_time(self.LONGEST)
        backlogs.note({"payment.urgent": 9}, clock.now())
        self.look(backlogs)
        assert (silent.chains, silent.saga.status) == ([STOP], "stopping")

    def test_a_retry_waits_in_no_queue(self, placed: Placed, backlogs: Backlogs, pass_time: PassTime) -> None:
        OutboxMessage.objects.create(
            kind="task", name="retry", saga=placed.saga_id, payload={}, due_at=Now() + timedelta(hours=1)
        )
        pass_time(900 * settings.TIMES.scale)
        backlogs.note({"payment.commands": 90}, clock.now())
        self.look(backlogs)
        assert placed.saga.cause["code"] == "deadline_passed"


class TestHindrance:
    """Rule 17: no order is stopped because a service of ours hangs, or its database is locked."""

    DEADLINE = 900 * settings.TIMES.scale

    @pytest.fixture
    def late(self, placed: Placed, pass_time: PassTime) -> Placed:
        """An order past its deadline that waits for payment."""
        placed.heard()
        pass_time(self.DEADLINE)
        return placed

    @staticmethod
    def look(*in_trouble: str) -> list[set[str]]:
        """Let the watchdog look while these services are in trouble; return about which it asked."""
        asked = []

        def ask(services: Collection[str]) -> dict[str, str]:
            asked.append({*services})
            return dict.fromkeys({*services} & {*in_trouble}, "it hangs")

        watchdog.redrive_due(SAGAS, clock.now(), ask=ask)
        return asked

    def test_the_deadline_moves_and_nothing_is_sent(self, late: Placed) -> None:
        assert self.look("payment") == [{"order", "payment"}]
        assert (late.saga.status, late.chains) == ("running", [])
        assert wait_of(late) == pytest.approx(SILENCE, abs=0.1)
        assert late.saga.deadline_at >= late.saga.due_at + timedelta(seconds=SILENCE)

    def test_then_it_is_driven_and_has_time_for_the_rest(self, late: Placed, pass_time: PassTime) -> None:
        self.look("payment")
        pass_time(SILENCE)
        assert self.look() == []
        assert (late.saga.status, late.chains) == ("running", [DRIVE])

    def test_without_trouble_of_ours_it_is_stopped_as_ever(self, late: Placed) -> None:
        """A provider that does not answer is no trouble of ours."""
        self.look("inventory", "shipment")
        assert late.saga.cause["code"] == "deadline_passed"

    def test_trouble_of_the_orchestrator_concerns_all(self, late: Placed) -> None:
        self.look("order")
        assert late.saga.status == "running"

    @pytest.mark.parametrize(("done", "service"), [(0, "payment"), (1, "inventory"), (2, "shipment")])
    def test_the_service_of_the_next_step_is_asked(self, late: Placed, done: int, service: str) -> None:
        late.log_as("done", *list(REPLIES)[:done])
        assert self.look() == [{"order", service}]

    def test_nobody_is_asked_before_a_deadline_is_over(self, silent: Placed) -> None:
        assert self.look("payment") == []
        assert silent.chains == [DRIVE]

    def test_after_four_deadlines_it_is_stopped_and_says_why(self, late: Placed, pass_time: PassTime) -> None:
        began = late.saga.since
        while late.saga.status == "running":
            late.heard()
            self.look("payment")
            pass_time(SILENCE)
        waited = (clock.now() - began).total_seconds()
        assert 4 * self.DEADLINE <= waited <= 4 * self.DEADLINE + 3 * SILENCE
        assert late.saga.status == "stopping"
        assert late.saga.cause["code"] == "hindered_too_long"
        assert late.saga.cause["reason"].startswith("payment, ")

    def test_a_service_that_does_not_answer_is_in_trouble_and_is_not_asked_at_once_again(self) -> None:
        """Here no participant runs."""
        asked: list[set[str]] = []

        def ask(services: Collection[str]) -> dict[str, str]:
            asked.append({*services})
            return hindrances.ask_participants(services)

        check = hindrances.HindranceCheck(ask)
        for _ in range(2):
            assert check.find(["order", "payment"]) == {"payment": hindrances.NO_ANSWER}
        assert asked == [{"payment"}]

    def test_our_own_trouble_is_read(self) -> None:
        check = hindrances.HindranceCheck(lambda services: {})
        assert check.find(["order", "payment"]) == {}
        trouble.note(trouble.Cause.DATABASE, "canceling statement due to lock timeout", 5)
        assert [*check.find(["order", "payment"])] == ["order"]


class TestTick:
    def test_nothing_happens_and_no_time_passes_while_somebody_is_down(
        self, silent: Placed, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Rule 17."""
        standstill = StandstillCheck(current_app)
        missing = ["payment"]
        monkeypatch.setattr(standstill.probe, "is_blocked", lambda: False)
        monkeypatch.setattr(standstill.workers, "find_missing", lambda: list(missing))
        before = clock.now()
        watchdog.tick(standstill)
        assert (silent.chains, clock.now()) == ([], before)
        assert SagaClock.objects.get().stands_for == "payment"
        missing.clear()
        watchdog.tick(standstill)
        assert silent.chains == [DRIVE]

    def test_a_broker_that_does_not_answer_is_somebody_down(self) -> None:
        """Rule 17: and no error, whatever its library calls it."""
        nobody = Celery("order", broker="amqp://127.0.0.1:1//", set_as_current=False, fixups=[])
        nobody.conf.broker_transport_options = {"max_retries": 0, "interval_start": 0}
        assert StandstillCheck(nobody).find_reasons() == ["broker"]

    def test_it_is_a_duty_of_the_relay(self, settings: Any) -> None:
        assert "celery_config.saga.duties.saga_duties" in settings.RELAY_DUTIES
        assert {duty.name for duty in duties.saga_duties()} >= {"watchdog", "dead letters"}


def test_a_lost_broker_is_healed_from_the_rows_alone(shop: Shop, pass_time: PassTime) -> None:
    """Rule 17: whatever was in the queues, every order is on its way again."""
    orders = [shop.order() for _ in range(5)]
    OutboxMessage.objects.all().delete()
    pass_time(1.2 * SILENCE)
    assert look() == 5
    assert [placed.chains for placed in orders] == [[DRIVE]] * 5
