"""The engine's reads and writes: one locked row decides, and what it decides is in the outbox with it."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.conf import settings
from django.db import IntegrityError

from celery_config.contracts.payment import PaymentCaptured
from celery_config.messaging.inbox.subscriptions import deliver
from celery_config.messaging.models import OutboxMessage
from celery_config.messaging.outbox.writing import cloud_event
from celery_config.saga.engine import clock, runner
from celery_config.saga.engine.machine import PivotRan, Retry, StepFailed, StepLogged, WatchdogFired
from celery_config.saga.models import SagaInstance, SagaStep
from celery_config.saga.states import StepState
from celery_config.saga.testing import list_links
from order_project import services
from tests.service.order.conftest import REPLIES, Placed, Shop, merge
from tests.service.together import concurrent, together

pytestmark = pytest.mark.django_db
ACTIONS = [
    "payment.authorize_payment", "inventory.reserve_stock", "shipment.book_shipment",
    "payment.capture_payment", "inventory.commit_stock", "shipment.dispatch_shipment",
]  # fmt: skip
FENCE = "fence payment.capture_payment"
UNDOS = ["shipment.cancel_shipment", "inventory.release_stock", "payment.void_payment"]
DRIVE, STOP = [*ACTIONS, "order.complete"], [FENCE, *UNDOS, "order.compensated"]
CAUSE = {"step": "reserve-stock", "code": "step_failed", "reason": "reserve-stock failed"}


def seconds_until(at: Any) -> float:
    return float((at - clock.now()).total_seconds())


class TestStart:
    def test_order_saga_steps_and_one_row_with_the_whole_chain(self, placed: Placed) -> None:
        """Rule 1."""
        assert placed.chains == [DRIVE]
        assert placed.saga.status == "running"
        assert placed.log == dict.fromkeys(REPLIES, "")
        assert OutboxMessage.objects.count() == 1

    def test_its_times_are_in_saga_time(self, placed: Placed) -> None:
        """Rules 17 and 18."""
        assert seconds_until(placed.saga.deadline_at) == pytest.approx(900 * settings.TIMES.scale, abs=1)
        assert (
            0.8 * settings.TIMES.silence_timeout
            < seconds_until(placed.saga.due_at)
            < 1.2 * settings.TIMES.silence_timeout
        )

    def test_an_open_saga_is_always_due_some_time(self, placed: Placed) -> None:
        """Rule 17: nothing can hang unseen; the database itself says no."""
        with pytest.raises(IntegrityError, match="an_open_saga_is_due_some_time"):
            placed.set(due_at=None)


class TestStop:
    def test_one_decision_one_row_one_chain(self, placed: Placed) -> None:
        """Rule 12."""
        assert (
            runner.handle_trigger(placed.saga_id, StepFailed("reserve-stock", "do"), cause=CAUSE)
            == "stopping"
        )
        assert placed.chains == [DRIVE, STOP]
        assert placed.saga.cause == CAUSE
        assert placed.decisions() == ["running stopping"]
        assert placed.order.status == "placed"

    def test_a_second_reason_changes_nothing(self, placed: Placed) -> None:
        """Rule 12."""
        runner.handle_trigger(placed.saga_id, StepFailed("reserve-stock", "do"), cause=CAUSE)
        runner.request_stop(placed.saga_id, code="cancelled", reason="too slow")
        runner.handle_trigger(
            placed.saga_id, StepFailed("book-shipment", "do"), cause={"code": "x", "step": "y", "reason": "z"}
        )
        assert placed.chains == [DRIVE, STOP]
        assert placed.saga.cause == CAUSE

    def test_each_chain_is_a_new_attempt_under_the_same_command_ids(self, placed: Placed) -> None:
        """Rule 2."""
        runner.request_stop(placed.saga_id, code="cancelled", reason="")
        runner.handle_trigger(placed.saga_id, WatchdogFired())
        _, first, second = placed.messages
        ids = [{link["options"]["task_id"] for link in list_links(chain)} for chain in (first, second)]
        assert not ids[0] & ids[1]
        assert [chain["kwargs"]["attempt"] for chain in (first, second)] == [1, 2]
        assert placed.saga.attempt == 2

    def test_a_failed_undo_sends_the_rest_incomplete(self, placed: Placed) -> None:
        """Rule 15: it parks nothing, and closes nothing."""
        runner.request_stop(placed.saga_id, code="cancelled", reason="")
        runner.handle_trigger(placed.saga_id, StepFailed("reserve-stock", "undo"))
        assert placed.chains[-1] == ["payment.void_payment", "order.compensated"]
        assert list_links(placed.messages[-1])[-1]["kwargs"]["incomplete"] is True
        runner.end_stop_chains({placed.saga_id: runner.StopChainEnd({}, incomplete=True)})
        assert (placed.saga.status, placed.order.status) == ("stopping", "placed")
        assert placed.saga.due_at

    def test_the_end_closes_saga_and_order_together(self, placed: Placed) -> None:
        runner.handle_trigger(placed.saga_id, StepFailed("reserve-stock", "do"), cause=CAUSE)
        merge(
            placed.saga_id, "reserve-stock", StepState.REFUSED, {"code": "out_of_stock", "reason": "2 left"}
        )
        runner.end_stop_chains({placed.saga_id: runner.StopChainEnd({})})
        assert (placed.saga.status, placed.order.status) == ("compensated", "cancelled")
        assert (placed.order.cancel_code, placed.order.cancel_reason) == ("out_of_stock", "2 left")
        assert placed.saga.cause == {"step": "reserve-stock", "code": "out_of_stock", "reason": "2 left"}
        assert placed.saga.ended_at
        assert placed.saga.due_at is None
        assert OutboxMessage.objects.get(kind="event").name == "order.order_cancelled"


class TestComplete:
    def test_it_closes_saga_and_order_and_fills_the_log(self, placed: Placed) -> None:
        """Rule 11: all replies travel with it."""
        runner.complete_sagas({placed.saga_id: runner.ChainEnd(REPLIES)})
        assert (placed.saga.status, placed.order.status) == ("completed", "confirmed")
        assert placed.order.tracking_number == "SB-1"
        assert placed.log == dict.fromkeys(REPLIES, "done")
        assert dict(placed.saga.steps.values_list("name", "reply")) == REPLIES
        assert placed.saga.due_at is None
        assert OutboxMessage.objects.get(kind="event").name == "order.order_confirmed"

    def test_a_repeat_changes_nothing(self, placed: Placed) -> None:
        runner.complete_sagas({placed.saga_id: runner.ChainEnd(REPLIES)})
        ended = placed.saga.ended_at
        runner.complete_sagas({placed.saga_id: runner.ChainEnd(REPLIES)})
        assert placed.saga.ended_at == ended
        assert OutboxMessage.objects.filter(kind="event").count() == 1

    def test_while_stopping_it_counts_for_nothing(self, placed: Placed) -> None:
        """Rule 11: the fence will answer."""
        runner.request_stop(placed.saga_id, code="cancelled", reason="")
        runner.complete_sagas({placed.saga_id: runner.ChainEnd(REPLIES)})
        assert (placed.saga.status, placed.order.status) == ("stopping", "placed")

    def test_going_forward_it_counts(self, placed: Placed) -> None:
        """Rule 11."""
        runner.handle_trigger(placed.saga_id, PivotRan())
        runner.complete_sagas({placed.saga_id: runner.ChainEnd(REPLIES)})
        assert placed.saga.status == "completed"

    def test_a_parked_saga_accepts_the_proof_of_its_end(self, placed: Placed) -> None:
        """Rules 11 and 25."""
        placed.set(status="parked", due_at=None)
        runner.complete_sagas({placed.saga_id: runner.ChainEnd(REPLIES)})
        assert (placed.saga.status, placed.order.status) == ("completed", "confirmed")

    def test_saga_and_order_close_in_one_transaction(
        self, placed: Placed, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Rule 11: what fails in the one is not done in the other, and is tried again."""

        def fails(*_: Any, **__: Any) -> None:
            raise ConnectionError

        with monkeypatch.context() as patched:
            patched.setattr(services.writing, "add_events", fails)
            with pytest.raises(ConnectionError):
                runner.complete_sagas({placed.saga_id: runner.ChainEnd(REPLIES)})
        assert (placed.saga.status, placed.order.status) == ("running", "placed")
        assert placed.log == dict.fromkeys(REPLIES, "")
        runner.complete_sagas({placed.saga_id: runner.ChainEnd(REPLIES)})
        assert placed.saga.status == "completed"


class TestForward:
    def test_the_fences_word_drives_a_stopping_saga_forward(self, placed: Placed) -> None:
        """Rule 13: from the first step the log does not know, with the replies it knows."""
        placed.log_as("done", "authorize-payment", "reserve-stock", "book-shipment", "capture-payment")
        runner.request_stop(placed.saga_id, code="cancelled", reason="")
        runner.handle_trigger(placed.saga_id, PivotRan())
        assert placed.saga.status == "forward"
        assert placed.chains[-1] == [*ACTIONS[4:], "order.complete"]
        known = list(REPLIES)[:4]
        assert placed.messages[-1]["args"] == [{name: REPLIES[name] for name in known}]

    def test_word_of_the_pivot_in_the_log_turns_it_too(self, placed: Placed) -> None:
        """Rule 13."""
        assert (
            runner.handle_trigger(placed.saga_id, StepLogged("capture-payment", StepState.DONE)) == "forward"
        )
        assert placed.chains == [DRIVE], "a running chain is on its way"

    def test_a_failure_after_the_pivot_is_looked_at_soon(self, placed: Placed) -> None:
        """Rule 14: it proves nothing, so the order can still be stopped; then the fence finds out."""
        runner.handle_trigger(placed.saga_id, StepFailed("commit-stock", "do"), cause=CAUSE)
        assert placed.saga.status == "running"
        assert placed.chains == [DRIVE]
        assert seconds_until(placed.saga.due_at) <= settings.TIMES.silence_timeout / 4 + 1
        runner.request_stop(placed.saga_id, code="cancelled", reason="")
        assert placed.saga.status == "stopping"


class TestLog:
    @pytest.mark.parametrize(
        ("first", "second", "stays"),
        [
            ("done", "undone", "undone"),
            ("undone", "done", "undone"),
            ("refused", "undone", "undone"),
            ("undone", "refused", "undone"),
            ("done", "refused", "done"),
            ("refused", "done", "refused"),
        ],
    )
    def test_it_only_rises_in_whatever_order_events_come(
        self, placed: Placed, first: str, second: str, stays: str
    ) -> None:
        """Rule 16."""
        assert merge(placed.saga_id, "reserve-stock", StepState(first), {"n": 1})
        assert merge(placed.saga_id, "reserve-stock", StepState(second), {"n": 2}) == (second == stays)
        assert placed.log["reserve-stock"] == stays

    def test_a_repeat_changes_nothing(self, placed: Placed) -> None:
        """Rule 16."""
        assert merge(placed.saga_id, "reserve-stock", StepState.DONE, {"n": 1})
        assert not merge(placed.saga_id, "reserve-stock", StepState.DONE, {"n": 2})
        assert SagaStep.objects.get(saga=placed.saga_id, name="reserve-stock").reply == {"n": 1}

    def test_another_sagas_log_is_not_touched(self, shop: Shop) -> None:
        one, other = shop.order(), shop.order()
        merge(one.saga_id, "reserve-stock", StepState.DONE, {})
        assert other.log["reserve-stock"] == ""


class TestParked:
    def test_a_humans_retry_is_a_stop_with_its_fence(self, placed: Placed) -> None:
        """Rule 25: with all its patience back."""
        placed.set(status="parked", due_at=None, drives=9, since=clock.now() - timedelta(days=9))
        assert runner.handle_trigger(placed.saga_id, Retry()) == "stopping"
        assert placed.chains[-1] == STOP
        assert placed.saga.drives == 0
        assert seconds_until(placed.saga.due_at) > 0
        assert seconds_until(placed.saga.since) == pytest.approx(0, abs=1)


class TestVersions:
    def test_a_running_saga_keeps_its_definition(self, shop: Shop, settings: Any) -> None:
        """Rule 24: the new version is for new orders."""
        old = shop.order()
        settings.PLACE_ORDER_VERSION = 2
        new = shop.order()
        assert [old.saga.version, new.saga.version] == [1, 2]
        assert new.chains[0][:2] == [ACTIONS[1], ACTIONS[0]]
        runner.request_stop(old.saga_id, code="cancelled", reason="")
        runner.request_stop(new.saga_id, code="cancelled", reason="")
        assert old.chains[-1] == STOP
        assert new.chains[-1] == [FENCE, UNDOS[0], UNDOS[2], UNDOS[1], "order.compensated"]

    def test_an_unknown_version_is_left_alone_and_made_due(self, placed: Placed) -> None:
        """Rule 24: its message is done with; a worker that knows the version finds the saga due."""
        placed.set(version=99)
        assert (
            runner.handle_trigger(placed.saga_id, StepFailed("reserve-stock", "do"), cause=CAUSE) == "running"
        )
        assert placed.chains == [DRIVE]
        assert seconds_until(placed.saga.due_at) <= settings.TIMES.silence_timeout / 4 + 1


def test_a_message_for_no_saga_is_let_go() -> None:
    assert runner.handle_trigger(uuid4(), WatchdogFired()) is None
    runner.complete_sagas({uuid4(): runner.ChainEnd(REPLIES)})
    runner.end_stop_chains({uuid4(): runner.StopChainEnd({})})
    assert not SagaInstance.objects.exists()


@concurrent
class TestTwins:
    """Rule 12: the saga's row decides, under its lock."""

    RACES = 12

    def test_many_reasons_to_stop_make_one_stop(self, shop: Shop) -> None:
        placed = shop.order()
        asked = together(
            *[lambda: runner.request_stop(placed.saga_id, code="cancelled", reason="")] * 3,
            *[lambda: runner.handle_trigger(placed.saga_id, StepFailed("reserve-stock", "do"), cause=CAUSE)]
            * 3,
        )
        assert asked == ["stopping"] * 6
        assert placed.chains == [DRIVE, STOP]

    def test_a_cancel_and_the_end_of_the_chain(self, shop: Shop) -> None:
        """Rule 11: one of them wins; an order is never confirmed while its stop goes out."""
        for _ in range(self.RACES):
            placed = shop.order()
            cancel = partial(runner.request_stop, placed.saga_id, code="cancelled", reason="")
            state, _ = together(
                cancel, partial(runner.complete_sagas, {placed.saga_id: runner.ChainEnd(REPLIES)})
            )
            ended = {"stopping": ("stopping", "placed"), "completed": ("completed", "confirmed")}[state]
            assert (placed.saga.status, placed.order.status) == ended
            assert placed.chains == [DRIVE, STOP][: 2 if state == "stopping" else 1]

    def test_the_pivots_event_and_the_end_of_the_chain_lock_in_one_order(self, shop: Shop) -> None:
        """Rule 10: else they deadlock just when the last messages of an order arrive together."""
        captured = PaymentCaptured(payment=UUID(int=1), captured_amount=1785)
        for _ in range(self.RACES):
            placed = shop.order()
            event = cloud_event(
                captured, subject="x", saga=placed.saga_id, step="capture-payment", outcome="done"
            )
            done = together(
                partial(deliver, [event]),
                partial(runner.complete_sagas, {placed.saga_id: runner.ChainEnd(REPLIES)}),
            )
            assert done == [None, set()]
            assert (placed.saga.status, placed.order.status) == ("completed", "confirmed")
