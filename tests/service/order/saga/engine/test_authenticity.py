"""What another service says of a step, or what only the last link repeats, proves nothing (rule 29, authenticity)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from unittest.mock import patch
from uuid import UUID

import pytest
from celery.exceptions import Reject
from django.conf import settings
from django.test import override_settings
from kombu.message import Message

from celery_config.broker.message_authentication import PROOF, WORDS, MessageKeys, Mode
from celery_config.broker.topology import RECEIVE
from celery_config.contracts.base import StepGaveUp
from celery_config.contracts.payment import PaymentCaptured
from celery_config.messaging.barrier.fences import PIVOT_FENCED, PIVOT_RAN
from celery_config.messaging.barrier.steps import STEP_LOST
from celery_config.messaging.inbox.subscriptions import deliver
from celery_config.messaging.outbox.writing import cloud_event
from celery_config.saga.dead_letters.letter import Letter
from celery_config.saga.dead_letters.reader import process_letters
from celery_config.saga.engine import runner
from celery_config.saga.models import DeadLetter
from celery_config.saga.testing import list_links
from tests.service.order.conftest import REPLIES, Placed, run

pytestmark = pytest.mark.django_db
OWNERS = {
    "authorize-payment": "payment", "reserve-stock": "inventory", "book-shipment": "shipment",
    "capture-payment": "payment", "commit-stock": "inventory", "dispatch-shipment": "shipment",
}  # fmt: skip
TO_UNDO = ("capture-payment", "book-shipment", "reserve-stock", "authorize-payment")


@pytest.fixture(autouse=True)
def keys() -> Iterator[MessageKeys]:
    """Those of the order service, which demands codes."""
    keys = replace(settings.MESSAGE_KEYS, mode=Mode.REQUIRE)
    with override_settings(MESSAGE_KEYS=keys):
        yield keys


def say(placed: Placed, outcome: str, said: dict[str, Any], **speakers: str) -> dict[str, Any]:
    """What a chain's end brings: contents of steps, with the word of each step's owner, or of another speaker."""
    words: dict[str, str] = {}
    for step, content in said.items():
        speaker = speakers.get(step.replace("-", "_"), OWNERS[step])
        words |= settings.MESSAGE_KEYS.sign_outcome(
            speaker, str(placed.saga_id), step, "do", outcome, content
        )
    return {step: content for step, content in said.items() if content is not None} | {WORDS: words}


def complete(placed: Placed, replies: dict[str, Any]) -> Any:
    return run(list_links(placed.messages[-1])[-1], replies)


def report(placed: Placed, service: str, task: str, **about: Any) -> dict[str, Any]:
    """A report as this service can make it, with its own key."""
    kwargs = {"saga": str(placed.saga_id), "service": service, **about}
    return {"task": task, "kwargs": kwargs | settings.MESSAGE_KEYS.sign_message(service, task, kwargs)}


def assert_untouched(placed: Placed, status: str = "running") -> None:
    assert placed.saga.status == status
    assert set(placed.log.values()) == {""}


class TestTheEnd:
    def test_with_every_steps_own_word(self, placed: Placed) -> None:
        complete(placed, say(placed, "done", REPLIES))
        assert placed.saga.status == "completed"
        assert placed.order.status == "confirmed"

    @pytest.mark.parametrize(
        "brought",
        [
            pytest.param(lambda placed: REPLIES, id="replies that nobody vouches for"),
            pytest.param(
                lambda placed: say(placed, "done", REPLIES, capture_payment="shipment"),
                id="another service speaks for the pivot",
            ),
            pytest.param(
                lambda placed: (
                    say(placed, "done", REPLIES) | {"capture-payment": {"payment": str(UUID(int=9))}}
                ),
                id="the reply was changed on the way",
            ),
            pytest.param(
                lambda placed: say(
                    placed, "done", {k: v for k, v in REPLIES.items() if k != "capture-payment"}
                ),
                id="the pivot is left out",
            ),
            pytest.param(lambda placed: say(placed, "undone", REPLIES), id="words about something else"),
            pytest.param(lambda placed: {**REPLIES, WORDS: ["x"]}, id="no words at all"),
        ],
    )
    def test_without_them_it_is_a_dead_letter(self, placed: Placed, brought: Any) -> None:
        with pytest.raises(Reject):
            complete(placed, brought(placed))
        assert placed.saga.status == "running"
        assert placed.order.status != "confirmed"
        assert placed.log["capture-payment"] == ""

    def test_what_the_log_knows_needs_no_word_and_its_reply_counts(self, placed: Placed) -> None:
        placed.log_as("done", "authorize-payment", "reserve-stock", "book-shipment", "capture-payment")
        late = {step: REPLIES[step] for step in ("commit-stock", "dispatch-shipment")}
        invented = {"capture-payment": {"payment": str(UUID(int=9)), "captured_amount": 1}}
        complete(placed, invented | say(placed, "done", late))
        assert placed.saga.status == "completed"
        assert placed.saga.steps.get(name="capture-payment").reply == REPLIES["capture-payment"]

    def test_a_link_that_nobody_made(self, placed: Placed) -> None:
        link = list_links(placed.messages[-1])[-1]
        forged = {**link, "kwargs": {**link["kwargs"], "mac": "00"}}
        with pytest.raises(Reject):
            run(forged, say(placed, "done", REPLIES))
        assert_untouched(placed)

    def test_each_word_is_checked_once(self, placed: Placed) -> None:
        """For the log and for the end."""
        with patch.object(
            MessageKeys, "find_speaker", autospec=True, side_effect=MessageKeys.find_speaker
        ) as asked:
            complete(placed, say(placed, "done", REPLIES))
        assert placed.saga.status == "completed"
        assert asked.call_count == len(REPLIES)


class TestTheEndOfAStop:
    @pytest.fixture
    def stopping(self, placed: Placed) -> Placed:
        runner.request_stop(placed.saga_id, code="cancelled", reason="")
        return placed

    def test_with_every_undos_own_word(self, stopping: Placed) -> None:
        complete(stopping, say(stopping, "undone", dict.fromkeys(TO_UNDO)))
        assert stopping.saga.status == "compensated"

    @pytest.mark.parametrize("left_out", TO_UNDO)
    def test_one_that_is_left_out(self, stopping: Placed, left_out: str) -> None:
        said = {step: None for step in TO_UNDO if step != left_out}
        with pytest.raises(Reject):
            complete(stopping, say(stopping, "undone", said))
        assert stopping.saga.status == "stopping"

    def test_one_that_the_log_knows(self, stopping: Placed) -> None:
        stopping.log_as("refused", "authorize-payment")
        stopping.log_as("undone", "capture-payment")
        complete(stopping, say(stopping, "undone", {"book-shipment": None, "reserve-stock": None}))
        assert stopping.saga.status == "compensated"

    def test_a_reason_that_nobody_vouches_for_is_not_kept(self, stopping: Placed) -> None:
        invented = {"reserve-stock": {"code": "sold_out", "reason": "the customer stole it"}}
        with pytest.raises(Reject):
            complete(stopping, say(stopping, "undone", dict.fromkeys(TO_UNDO)) | invented)
        assert stopping.saga.steps.get(name="reserve-stock").refusal is None

    def test_a_reason_that_another_service_gives_is_not_kept(self, stopping: Placed) -> None:
        refusal = {"code": "sold_out", "reason": "there is none"}
        said = dict.fromkeys(TO_UNDO) | {"reserve-stock": refusal}
        with pytest.raises(Reject):
            complete(stopping, say(stopping, "undone", said, reserve_stock="shipment"))
        assert stopping.saga.steps.get(name="reserve-stock").refusal is None
        complete(stopping, say(stopping, "undone", said))
        assert stopping.saga.steps.get(name="reserve-stock").refusal == refusal


class TestReports:
    PIVOT: dict[str, Any] = {"step": "capture-payment", "reply": REPLIES["capture-payment"]}

    def test_of_the_pivots_own_service(self, placed: Placed) -> None:
        run(report(placed, "payment", PIVOT_RAN, **self.PIVOT))
        assert placed.saga.status == "forward"

    @pytest.mark.parametrize("task", [PIVOT_RAN, PIVOT_FENCED])
    def test_of_another_service(self, placed: Placed, task: str) -> None:
        run(report(placed, "shipment", task, **self.PIVOT))
        assert_untouched(placed)

    def test_of_another_service_about_its_own_step(self, placed: Placed) -> None:
        run(report(placed, "shipment", PIVOT_RAN, step="book-shipment", reply=REPLIES["book-shipment"]))
        assert placed.saga.status == "running"

    def test_in_anothers_name(self, placed: Placed) -> None:
        forged = report(placed, "shipment", PIVOT_RAN, **self.PIVOT)
        with pytest.raises(Reject):
            run({**forged, "kwargs": {**forged["kwargs"], "service": "payment"}})
        assert_untouched(placed)

    @pytest.mark.parametrize(("service", "status"), [("shipment", "running"), ("payment", "parked")])
    def test_that_a_step_was_lost(self, placed: Placed, service: str, status: str) -> None:
        run(report(placed, service, STEP_LOST, step="authorize-payment", operation="undo", reason="x"))
        assert placed.saga.status == status


class TestEvents:
    @pytest.mark.parametrize("step", ["capture-payment", "authorize-payment"])
    def test_say_something_of_their_own_services_steps_alone(self, placed: Placed, step: str) -> None:
        event = PaymentCaptured(payment=UUID(int=1), captured_amount=1)
        message = cloud_event(
            event, subject=str(placed.id), saga=placed.saga_id, step=step, operation="do", outcome="done"
        )
        foreign = {**message, "type": "shipment.shipment_booked", "data": REPLIES["book-shipment"]}
        deliver([foreign])
        assert_untouched(placed)

    def gave_up(self, placed: Placed, speaker: str, source: str = "") -> dict[str, Any]:
        """As `speaker` can announce it of inventory's step, in its own name or in that of `source`."""
        message = cloud_event(
            StepGaveUp(code="error", reason="its database is full"),
            subject=str(placed.id), saga=placed.saga_id, step="reserve-stock", operation="do", outcome="failed",
        ) | {"source": f"/{source or speaker}"}  # fmt: skip
        del message["mac"]
        return message | settings.MESSAGE_KEYS.sign_message(speaker, message["type"], message)

    def test_why_a_step_failed_is_said_by_its_own_service(self, placed: Placed) -> None:
        """Every service may announce that it gave up a step."""
        step = placed.saga.steps.get(name="reserve-stock")
        deliver([self.gave_up(placed, "shipment")])
        for forged in (
            self.gave_up(placed, "shipment", "inventory"),
            self.gave_up(placed, "inventory") | {"mac": ""},
        ):
            with pytest.raises(Reject):
                run({"task": RECEIVE, "kwargs": forged})
        step.refresh_from_db()
        assert (step.refusal, step.failure) == (None, None)
        deliver([self.gave_up(placed, "inventory")])
        step.refresh_from_db()
        assert step.refusal == {"code": "error", "reason": "its database is full"}

    def test_nothing_that_another_service_says_hides_them(self, placed: Placed) -> None:
        """Both come in one batch, and what the other says ranks higher."""
        own = cloud_event(
            PaymentCaptured(payment=UUID(int=1), captured_amount=1),
            subject=str(placed.id), saga=placed.saga_id, step="capture-payment", operation="do", outcome="done",
        )  # fmt: skip
        foreign = {**own, "id": str(UUID(int=2)), "type": "shipment.shipment_cancelled", "outcome": "undone"}
        deliver([foreign, own])
        assert placed.log["capture-payment"] == "done"
        assert placed.saga.status == "forward"


class TestDeadLetters:
    CAPTURE = "payment.capture_payment"

    def put(
        self,
        kwargs: dict[str, Any],
        task: str = CAPTURE,
        words: dict[str, str] | None = None,
        replies: dict[str, Any] | None = None,
        **death: Any,
    ) -> DeadLetter:
        queue = f"{task.partition('.')[0]}.urgent"
        headers = {"task": task, "id": "1", "x-death": [{"reason": "rejected", "queue": queue, **death}]}
        message = Message(
            body=json.dumps([[{**(replies or {}), WORDS: words or {}}], kwargs, {}]).encode(),
            content_type="application/json", content_encoding="utf-8", headers=headers, accept={"application/json"},
        )  # fmt: skip
        process_letters([Letter.parse(message)])
        return DeadLetter.objects.latest("id")

    def capture(self, placed: Placed) -> dict[str, Any]:
        (link,) = [each for each in list_links(placed.messages[-1]) if each["task"] == self.CAPTURE]
        kwargs: dict[str, Any] = link["kwargs"]
        return kwargs

    def words(self, placed: Placed) -> dict[str, str]:
        """Those of the steps before the capture."""
        before = ("authorize-payment", "reserve-stock", "book-shipment")
        words: dict[str, str] = say(placed, "done", dict.fromkeys(before))[WORDS]
        return words

    def test_one_of_ours_counts(self, placed: Placed) -> None:
        kept = self.put(self.capture(placed), words=self.words(placed))
        assert "taken as the failure" in kept.consequence
        assert placed.saga.status == "stopping"

    def test_a_forged_one_changes_nothing_and_is_kept(self, placed: Placed) -> None:
        kept = self.put(self.capture(placed) | {"operation": "undo"}, words=self.words(placed))
        assert kept.consequence == "kept: it is forged, so nothing follows from it"
        assert kept.fault == "payment.capture_payment is not authentic: its code is wrong"
        assert_untouched(placed)

    def test_one_that_was_handed_on_before_its_turn(self, placed: Placed) -> None:
        early = self.words(placed)
        del early[f"book-shipment{PROOF}"]
        kept = self.put(self.capture(placed), words=early)
        assert kept.consequence.startswith("kept: it is forged")
        assert kept.fault.endswith("nothing proves that book-shipment ran before it")
        assert_untouched(placed)

    def test_one_that_came_under_a_key_of_another_task(self, placed: Placed) -> None:
        event = {"type": "payment.payment_captured", "saga": str(placed.saga_id)}
        route = {"exchange": "tasks", "routing-keys": ["order.complete"]}
        kept = self.put(event, "events.receive", **route)
        assert kept.consequence.startswith("kept: it is forged")
        assert_untouched(placed)

    @pytest.mark.parametrize(
        ("event", "fault"),
        [
            ({"type": "step.step_gave_up", "source": "/payment", "mac": "00"}, "its code is wrong"),
            ({"type": "payment.payment_released", "flow": "choreographed"}, "names another order"),
        ],
    )
    def test_an_event_of_another_source_or_order(
        self, placed: Placed, event: dict[str, Any], fault: str
    ) -> None:
        about = {"saga": str(placed.saga_id), "data": {"order": str(placed.id)}}
        death: dict[str, Any] = {
            "exchange": "events",
            "routing-keys": [event["type"]],
            "queue": "order.events",
        }
        kept = self.put(event | about, RECEIVE, **death)
        assert kept.fault.endswith(fault)
        assert kept.consequence == "kept: it is forged, so nothing follows from it"

    def test_an_end_with_an_invented_reply_names_its_step(self, placed: Placed) -> None:
        end = list_links(placed.messages[-1])[-1]
        said = say(placed, "done", REPLIES)
        invented = {**REPLIES, "capture-payment": {**REPLIES["capture-payment"], "captured_amount": 1}}
        kept = self.put(end["kwargs"], end["task"], said[WORDS], invented)
        assert kept.fault == "not authentic: no service vouches for what it brings of capture-payment"
        assert self.put(end["kwargs"], end["task"], said[WORDS], REPLIES).fault.startswith("it fits its task")
        assert placed.saga.status == "running"
