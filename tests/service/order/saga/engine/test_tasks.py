"""What comes back to the orchestrator, as the messages that the chains themselves hold."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest
from celery import current_app
from django.conf import settings

from celery_config.contracts.base import Event, StepGaveUp
from celery_config.contracts.inventory import StockCommitted, StockRefused, StockReleased, StockReserved
from celery_config.contracts.payment import PaymentCaptured
from celery_config.contracts.shipment import ShipmentCancelled
from celery_config.messaging.barrier.fences import PIVOT_FENCED, PIVOT_RAN
from celery_config.messaging.barrier.steps import STEP_LOST
from celery_config.messaging.inbox.subscriptions import deliver
from celery_config.messaging.outbox.writing import cloud_event
from celery_config.saga.engine import runner
from celery_config.saga.engine.chains import COMPENSATED, COMPLETE, STEP_FAILED
from celery_config.saga.engine.machine import WatchdogFired
from celery_config.saga.engine.patience import end_patience
from celery_config.saga.engine.saga_flow import SAGAS
from celery_config.saga.operations.advice import advise, recommend_verb
from celery_config.saga.operations.explanation import explain
from celery_config.saga.operations.flow_reader import read_flow
from celery_config.saga.operations.selectors import read_parked_groups
from celery_config.saga.operations.strip import draw_strip
from celery_config.saga.testing import list_links
from tests.service.order.conftest import REPLIES, Placed, Shop, run

pytestmark = pytest.mark.django_db
RESERVED = StockReserved(reservation=UUID(int=2))


def captured() -> PaymentCaptured:
    return PaymentCaptured(payment=UUID(int=1), captured_amount=1785)


def announce(placed: Placed, event: Event, step: str, operation: str, outcome: str) -> None:
    about = {"step": step, "operation": operation, "outcome": outcome}
    deliver([cloud_event(event, subject=str(placed.id), saga=placed.saga_id, **about)])


def errback_of(placed: Placed, task: str) -> dict[str, Any]:
    """The errback of a link of the newest chain."""
    (found,) = [link for link in list_links(placed.messages[-1]) if link["task"] == task]
    return found["options"]["link_error"][0]  # type: ignore[no-any-return]


def last_link(placed: Placed) -> dict[str, Any]:
    return list_links(placed.messages[-1])[-1]


class TestErrbacks:
    def test_they_are_known_here_and_published_even_for_our_own_links(self) -> None:
        """Rule 3: bound tasks take a first argument, so Celery never runs them inline."""
        for name in (STEP_FAILED, STEP_LOST, COMPLETE, COMPENSATED, PIVOT_RAN, PIVOT_FENCED):
            assert current_app.tasks[name].__bound__

    @pytest.mark.parametrize(
        "link", ["payment.authorize_payment", "inventory.reserve_stock", "payment.capture_payment"]
    )
    def test_of_an_action_stops(self, placed: Placed, link: str) -> None:
        run(errback_of(placed, link))
        assert placed.saga.status == "stopping"
        assert placed.saga.cause["code"] == "step_failed"

    @pytest.mark.parametrize("before", ["running", "stopping"])
    def test_of_an_action_after_the_pivot_turns_nothing_forward(self, placed: Placed, before: str) -> None:
        """Rule 14: anybody may send it, and what goes forward is never undone."""
        placed.set(status=before)
        run(errback_of(placed, "inventory.commit_stock"))
        assert placed.saga.status == before

    @pytest.mark.parametrize("before", ["running", "stopping", "forward", "compensated"])
    def test_a_step_that_its_service_lost_parks(self, placed: Placed, before: str) -> None:
        """Rule 25."""
        placed.set(status=before)
        reason = "authorize-payment was done, and payment has no barrier row of it"
        lost = {"saga": placed.saga_id, "step": "authorize-payment", "operation": "undo", "reason": reason}
        current_app.tasks[STEP_LOST](**{**lost, "saga": str(placed.saga_id)})
        saga = placed.saga
        if before == "compensated":
            assert saga.status == "compensated"
            return
        assert (saga.status, saga.cause["parked"], saga.due_at) == ("parked", reason, None)
        assert saga.fingerprint.endswith("its database was set back; ./manage.py payment recover mends it")

    def test_of_a_fence_proves_nothing(self, placed: Placed) -> None:
        """Rule 13: it only makes the saga due."""
        runner.request_stop(placed.saga_id, code="cancelled", reason="")
        before = placed.saga
        run(errback_of(placed, "payment.fence"))
        assert placed.saga.status == "stopping"
        assert len(placed.chains) == 2
        assert placed.saga.due_at < before.due_at

    def test_of_an_undo_lets_the_others_go_on(self, placed: Placed) -> None:
        """Rule 15."""
        runner.request_stop(placed.saga_id, code="cancelled", reason="")
        run(errback_of(placed, "shipment.cancel_shipment"))
        assert placed.chains[-1] == ["inventory.release_stock", "payment.void_payment", COMPENSATED]
        assert placed.saga.status == "stopping"

    @pytest.mark.parametrize("task", [COMPLETE, COMPENSATED])
    def test_of_the_last_link_only_makes_it_due(self, placed: Placed, task: str) -> None:
        """Rule 19."""
        if task == COMPENSATED:
            runner.request_stop(placed.saga_id, code="cancelled", reason="")
        before = placed.saga
        run(errback_of(placed, task))
        assert placed.saga.status == before.status
        assert placed.saga.due_at < before.due_at

    def test_of_an_old_attempt_counts_like_any_other(self, placed: Placed) -> None:
        """Rule 2: attempts are for people."""
        old = errback_of(placed, "inventory.reserve_stock")
        placed.log_as("done", "authorize-payment")
        placed.heard()
        runner.handle_trigger(placed.saga_id, runner.CancelRequested())
        run(old)
        assert len(placed.chains) == 1


class TestEnds:
    def test_the_end_of_the_actions(self, placed: Placed) -> None:
        """Rule 11."""
        run(last_link(placed), REPLIES)
        assert placed.saga.status == "completed"

    def test_the_end_of_a_stop(self, placed: Placed) -> None:
        """Rule 12."""
        runner.request_stop(placed.saga_id, code="cancelled", reason="cancelled by ada")
        run(last_link(placed), {})
        assert (placed.saga.status, placed.order.cancel_code) == ("compensated", "cancelled")

    def test_the_end_of_an_incomplete_stop_closes_nothing(self, placed: Placed) -> None:
        """Rule 15."""
        runner.request_stop(placed.saga_id, code="cancelled", reason="")
        run(errback_of(placed, "shipment.cancel_shipment"))
        run(last_link(placed), {})
        assert placed.saga.status == "stopping"

    def test_the_fences_word(self, placed: Placed) -> None:
        """Rule 13: as a participant promises it."""
        runner.request_stop(placed.saga_id, code="cancelled", reason="")
        proof = {"saga": str(placed.saga_id), "step": "capture-payment", "reply": REPLIES["capture-payment"]}
        run({"task": PIVOT_RAN, "kwargs": proof})
        assert placed.saga.status == "forward"
        assert placed.log["capture-payment"] == "done"
        assert placed.chains[-1][0] == "payment.authorize_payment", "the log knew nothing before the pivot"

    def test_the_fences_other_word(self, placed: Placed) -> None:
        """Rule 12: with it and the undos' events a stop gets on by a link a drive, though none sends the next."""
        runner.request_stop(placed.saga_id, code="cancelled", reason="")
        run({"task": PIVOT_FENCED, "kwargs": {"saga": str(placed.saga_id), "step": "capture-payment"}})
        assert (placed.saga.status, placed.log["capture-payment"]) == ("stopping", "undone")
        runner.handle_trigger(placed.saga_id, WatchdogFired())
        assert placed.chains[-1][0] == "shipment.cancel_shipment"
        announce(placed, ShipmentCancelled(order=placed.id), "book-shipment", "undo", "undone")
        runner.handle_trigger(placed.saga_id, WatchdogFired())
        assert placed.chains[-1] == ["inventory.release_stock", "payment.void_payment", COMPENSATED]


def give_up(placed: Placed, reason: str) -> None:
    """Let payment announce that it gave up the void."""
    message = cloud_event(
        StepGaveUp(code="error", reason=reason),
        subject=str(placed.id), saga=placed.saga_id, step="authorize-payment", operation="undo", outcome="failed",
    ) | {"source": "/payment"}  # fmt: skip
    message.pop("mac", None)
    deliver([message | settings.MESSAGE_KEYS.sign_message("payment", message["type"], message)])


class TestParkedAndSilent:
    """What parked it was that nothing was heard. When something is heard, its line says what stands in the way now."""

    @pytest.fixture
    def silent(self, placed: Placed) -> Placed:
        placed.log_as("done", "authorize-payment")
        runner.request_stop(placed.saga_id, code="cancelled", reason="")
        end_patience(SAGAS, {placed.saga.pk})
        assert placed.saga.fingerprint.startswith("nothing was heard of payment, asked whether")
        return placed

    def test_a_service_that_gives_up_is_not_silent(self, silent: Placed) -> None:
        announce(silent, StockReleased(order=silent.id), "reserve-stock", "undo", "undone")
        assert silent.saga.fingerprint.startswith("nothing was heard of payment, asked whether")
        give_up(silent, "its disk is full")
        assert silent.saga.fingerprint == "payment could not void the payment: its disk is full"
        facts = read_flow(silent.saga)
        (cell,) = [cell for cell in draw_strip(facts) if cell.name == "authorize-payment"]
        assert cell.reason in explain(facts).text

    def test_a_step_that_its_service_lost_says_so(self, silent: Placed) -> None:
        lost = {"saga": str(silent.saga_id), "step": "authorize-payment", "operation": "undo", "reason": "x"}
        current_app.tasks[STEP_LOST](**lost)
        assert silent.saga.fingerprint.startswith("payment knows nothing of a step that was done")

    def test_the_pivots_late_word_says_that_it_ran(self, silent: Placed) -> None:
        proof = {
            "saga": str(silent.saga_id),
            "step": "capture-payment",
            "reply": REPLIES["capture-payment"],
        }
        run({"task": PIVOT_RAN, "kwargs": proof})
        self.check_late(silent, "it did", "resume", "Cancelled too late: the money had been taken.")

    def test_the_pivots_late_event_says_so_too(self, silent: Placed) -> None:
        announce(silent, captured(), "capture-payment", "do", "done")
        self.check_late(silent, "it did", "resume", "Cancelled too late: the money had been taken.")

    def test_the_fences_late_word_says_that_it_never_runs(self, silent: Placed) -> None:
        run({"task": PIVOT_FENCED, "kwargs": {"saga": str(silent.saga_id), "step": "capture-payment"}})
        self.check_late(silent, "it did not, and never will", "retry", "the order is being cancelled")

    def check_late(self, silent: Placed, answer: str, verb: str, more: str) -> None:
        """The line, the sentence and what is recommended say that the answer has come, whatever is heard then."""
        line = f"payment answered late, asked whether it took the money: {answer}"
        assert (silent.saga.status, silent.saga.fingerprint) == ("parked", line)
        facts = read_flow(silent.saga)
        assert line in explain(facts).text
        assert more in explain(facts).text
        assert recommend_verb(facts) == verb
        assert "not sent by itself" in advise(line)
        assert [group.fingerprint for group in read_parked_groups()] == [line]
        announce(silent, StockReleased(order=silent.id), "reserve-stock", "undo", "undone")
        assert silent.saga.fingerprint == line
        give_up(silent, "its disk is full")
        assert silent.saga.fingerprint == "payment could not void the payment: its disk is full"

    def test_the_late_word_of_a_step_that_only_goes_forward(self, placed: Placed) -> None:
        for step in ("authorize-payment", "reserve-stock", "book-shipment"):
            placed.log_as("done", step)
        announce(placed, captured(), "capture-payment", "do", "done")
        end_patience(SAGAS, {placed.saga.pk})
        assert placed.saga.fingerprint == "nothing was heard of inventory, asked to commit the stock"
        announce(placed, StockCommitted(reservation=UUID(int=2)), "commit-stock", "do", "done")
        assert placed.saga.fingerprint == "inventory answered late, asked to commit the stock: done"

    def test_another_cause_stays(self, silent: Placed) -> None:
        silent.set(fingerprint="cannot be driven: its messages are too large")
        give_up(silent, "x")
        assert silent.saga.fingerprint == "cannot be driven: its messages are too large"


class TestEvents:
    def test_a_participants_event_is_merged_into_the_log(self, placed: Placed) -> None:
        """Rule 16: with its full reply."""
        announce(placed, RESERVED, "reserve-stock", "do", "done")
        step = placed.saga.steps.get(name="reserve-stock")
        assert (step.logged, step.reply) == ("done", {"reservation": str(UUID(int=2))})
        assert placed.saga.status == "running"

    def test_a_refusal_brings_its_code(self, placed: Placed) -> None:
        """Rule 16: the errback alone carries no reason."""
        announce(placed, StockRefused(code="out_of_stock", reason="2 left"), "reserve-stock", "do", "refused")
        assert placed.saga.steps.get(name="reserve-stock").refusal == {
            "code": "out_of_stock",
            "reason": "2 left",
        }
        assert placed.saga.status == "running", "events are hints; the errback or the watchdog stops it"

    def test_they_may_come_in_any_order_and_twice(self, placed: Placed) -> None:
        """Rule 16."""
        for _ in range(2):
            announce(placed, StockReleased(order=placed.id), "reserve-stock", "undo", "undone")
            announce(placed, RESERVED, "reserve-stock", "do", "done")
        assert placed.log["reserve-stock"] == "undone"

    @pytest.mark.parametrize(("before", "chains"), [("running", 1), ("stopping", 3)])
    def test_the_pivots_turns_the_saga_forward(self, placed: Placed, before: str, chains: int) -> None:
        """Rule 13: a running chain is on its way; a stopping one must be driven."""
        if before == "stopping":
            runner.request_stop(placed.saga_id, code="cancelled", reason="")
        announce(placed, captured(), "capture-payment", "do", "done")
        assert placed.saga.status == "forward"
        assert len(placed.chains) == chains

    def test_an_event_of_an_unknown_saga_is_let_go(self, shop: Shop) -> None:
        """A service may serve two orchestrators; the log has no such step."""
        about = {"step": "capture-payment", "operation": "do", "outcome": "done"}
        deliver([cloud_event(captured(), subject="x", saga=uuid4(), **about)])

    def test_an_event_of_no_saga_changes_no_log(self, placed: Placed) -> None:
        deliver([cloud_event(RESERVED, subject="x")])
        assert set(placed.log.values()) == {""}
