"""What the dead-letter queue brings back (rule 19)."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from celery import current_app
from django.test import Client
from kombu.message import Message

from celery_config.messaging.fences import PIVOT_RAN
from celery_config.saga import runner
from celery_config.saga.dead_letters import DeadLetterReader, keep
from celery_config.saga.models import DeadLetter
from celery_config.saga.testing import links_of
from tests.service.order.conftest import REPLIES, Placed, Shop
from tests.service.order.test_runner import DRIVE, STOP
from tests.service.pages import opened

pytestmark = pytest.mark.django_db
DEATH = [{"reason": "delivery_limit", "queue": "inventory.commands", "count": 1}]


def letter(
    task: str, kwargs: dict[str, Any], *, headers: dict[str, Any] | None = None, body: bytes | None = None
) -> Message:
    return Message(
        body=json.dumps([[{}], kwargs, {}]).encode() if body is None else body,
        content_type="application/json",
        content_encoding="utf-8",
        headers={"task": task, "id": str(uuid4()), "x-death": DEATH} if headers is None else headers,
        accept={"application/json"},
    )


def link(placed: Placed, task: str) -> dict[str, Any]:
    (found,) = [link for link in links_of(placed.messages[-1]) if link["task"] == task]
    return found


def dead(placed: Placed, task: str) -> DeadLetter:
    keep(letter(task, link(placed, task)["kwargs"]))
    return DeadLetter.objects.latest("id")


@pytest.fixture
def stopping(placed: Placed) -> Placed:
    runner.stop(placed.saga_id, code="cancelled", reason="")
    return placed


class TestConsequences:
    def test_a_dead_action_is_an_unknown_failure(self, placed: Placed) -> None:
        row = dead(placed, "inventory.reserve_stock")
        assert placed.chains == [DRIVE, STOP]
        assert placed.saga.cause["code"] == "dead_letter"
        assert "delivery_limit" in placed.saga.cause["reason"]
        assert (row.saga, row.step, row.operation) == (placed.saga_id, "reserve-stock", "do")
        assert (row.task, row.queue, row.reason) == (
            "inventory.reserve_stock",
            "inventory.commands",
            "delivery_limit",
        )

    def test_a_dead_action_after_the_pivot_goes_forward(self, placed: Placed) -> None:
        """Rule 14."""
        dead(placed, "inventory.commit_stock")
        assert placed.saga.status == "forward"

    def test_a_dead_undo_is_its_errback(self, stopping: Placed) -> None:
        dead(stopping, "inventory.release_stock")
        assert stopping.chains[-1] == ["payment.void_payment", "order.compensated"]

    @pytest.mark.parametrize("task", ["payment.fence", "order.compensated"])
    def test_a_dead_fence_or_end_only_makes_the_saga_due(self, stopping: Placed, task: str) -> None:
        before = stopping.saga
        dead(stopping, task)
        assert stopping.saga.status == "stopping"
        assert stopping.saga.due_at < before.due_at
        assert len(stopping.chains) == 2

    @pytest.mark.parametrize("task", ["order.step_failed", PIVOT_RAN, "events.receive"])
    def test_dead_news_of_a_step_only_makes_the_saga_due(self, placed: Placed, task: str) -> None:
        """A callback or an event names step and operation, but is not the step: a done one is not taken for failed."""
        before = placed.saga
        about = {"saga": str(placed.saga_id), "step": "reserve-stock", "operation": "do", "outcome": "done"}
        keep(letter(task, about))
        assert placed.saga.status == "running"
        assert placed.chains == [DRIVE]
        assert placed.saga.due_at < before.due_at

    def test_a_dead_batch_of_events_makes_every_saga_due_that_it_tells_of(
        self, placed: Placed, stopping: Placed
    ) -> None:
        before = [each.saga.due_at for each in (placed, stopping)]
        about = [{"saga": str(each.saga_id), "step": "reserve-stock"} for each in (placed, stopping)]
        keep(letter("events.receive_all", {"events": [*about, {"saga": str(uuid4())}, "no event"]}))
        assert [each.saga.due_at for each in (placed, stopping)] < before
        assert DeadLetter.objects.get().consequence == "the sagas of its events are looked at soon"

    def test_an_ended_saga_is_left_as_it_is(self, placed: Placed) -> None:
        placed.set(status="completed", due_at=None)
        assert dead(placed, "inventory.reserve_stock").saga == placed.saga_id
        assert (placed.saga.status, placed.saga.due_at, placed.chains) == ("completed", None, [DRIVE])


class TestWhatIsKept:
    """What belongs to no saga is kept and shown, whatever it is."""

    def test_a_letter_of_an_unknown_saga(self, shop: Shop) -> None:
        keep(letter("payment.authorize_payment", {"saga": str(uuid4()), "step": "x", "operation": "do"}))
        assert DeadLetter.objects.get().consequence == "kept: no such saga here"

    def test_a_letter_of_an_unknown_step(self, placed: Placed) -> None:
        keep(
            letter(
                "payment.authorize_payment",
                {"saga": str(placed.saga_id), "step": "no-such", "operation": "do"},
            )
        )
        assert placed.saga.status == "running"
        assert DeadLetter.objects.get().consequence == "its saga is looked at soon"

    @pytest.mark.parametrize(
        "message",
        [
            letter("x", {}, body=b"\xff\xfe not json"),
            letter("x", {}, body=b'{"not": "a task"}'),
            letter("x", {}, body=b"[1, 2]"),
            letter("x", {"saga": "not an id"}),
            letter("x", {}, headers={}),
            letter("x" * 500, {}),
            letter("a\x00b", {}, body=b"zero \x00 byte"),
            letter("x", {}, headers={"task": "x", "id": "1", "weird": b"\x00\xff", "deep": {"a": ["\x00"]}}),
            letter("x", {"step": "\x00", "operation": "\ud800"}),
            letter("x", {}, body=b"y" * 200_000),
        ],
    )
    def test_garbage(self, db: None, message: Message) -> None:
        """One that cannot be stored would be read for ever and hold up all behind it."""
        keep(message)
        row = DeadLetter.objects.get()
        assert row.consequence == "kept: it belongs to no saga"
        assert row.fault
        assert len(row.body) <= 64 * 1024

    def test_a_body_is_readable(self, shop: Shop) -> None:
        keep(letter("x", {"n": 1}))
        assert json.loads(DeadLetter.objects.get().body)[1] == {"n": 1}


def rejected(task: str, kwargs: dict[str, Any], queue: str, *args: Any) -> str:
    """Why the message was rejected, as the page shows it."""
    death = [{"reason": "rejected", "queue": queue, "count": 1}]
    body = json.dumps([args, kwargs, {}]).encode()
    keep(letter(task, kwargs, headers={"task": task, "id": str(uuid4()), "x-death": death}, body=body))
    return DeadLetter.objects.latest("id").fault


class TestWhyItWasRejected:
    """A message that Celery could read and its worker could not."""

    QUEUES = ("payment.commands", "inventory.commands", "shipment.commands", "order.commands")

    def test_whatever_a_saga_sends_fits(self, stopping: Placed) -> None:
        queues = {name.partition(".")[0]: name for name in self.QUEUES}
        for each in (link for message in stopping.messages for link in links_of(message)):
            fault = rejected(each["task"], each["kwargs"], queues[each["task"].partition(".")[0]], REPLIES)
            assert "it fits its task" in fault, each["task"]

    def test_a_step_without_what_its_command_needs(self, placed: Placed) -> None:
        kwargs = link(placed, "inventory.reserve_stock")["kwargs"]
        del kwargs["command"]["lines"]
        fault = rejected("inventory.reserve_stock", kwargs, "inventory.commands", {})
        assert fault == "Object missing required field `lines`"
        del kwargs["attempt"]
        fault = rejected("inventory.reserve_stock", kwargs, "inventory.commands", {})
        assert fault == "Object missing required field `attempt`"

    def test_a_step_before_the_reply_that_it_needs(self, placed: Placed) -> None:
        kwargs = link(placed, "inventory.commit_stock")["kwargs"]
        fault = rejected("inventory.commit_stock", kwargs, "inventory.commands", {})
        assert fault == "the replies before it lack what it needs: KeyError('reserve-stock')"

    def test_a_task_that_nobody_knows(self, shop: Shop) -> None:
        assert rejected("inventory.\0", {}, "inventory.commands") == r"unknown task 'inventory.\x00'"

    def test_a_task_of_somebody_else(self, placed: Placed) -> None:
        kwargs = link(placed, "inventory.reserve_stock")["kwargs"]
        assert "belongs into 'inventory.commands'" in rejected(
            "inventory.reserve_stock", kwargs, "payment.commands", {}
        )

    @pytest.mark.parametrize(
        ("changed", "fault"),
        [
            ({}, "it fits its task"),
            ({"id": 1}, "Expected `uuid`, got `int` - at `$.id`"),
            ({"time": "soon"}, "Invalid RFC3339 encoded datetime - at `$.time`"),
            ({"type": "inventory.product_changed"}, "Object missing required field"),
        ],
    )
    def test_an_event(self, shop: Shop, changed: dict[str, Any], fault: str) -> None:
        event = {
            "id": str(uuid4()), "source": "payment", "type": "payment.payment_authorized", "subject": "x",
            "time": "2026-01-01T00:00:00Z", "data": {},
        }  # fmt: skip
        assert fault in rejected("events.receive", event | changed, "order.events")

    def test_the_list_shows_it(self, admin_client: Client, shop: Shop) -> None:
        rejected("order.complete", {"saga": "x"}, "order.commands", {})
        assert "Invalid UUID" in opened(admin_client, "saga_deadletter")[0]


def test_the_letter_and_its_consequence_are_one_transaction(
    placed: Placed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Acknowledged after its commit: read twice it acts twice, which barriers bear; never lost."""

    def fails(**_: Any) -> None:
        raise ConnectionError

    monkeypatch.setattr(DeadLetter.objects, "create", fails)
    with pytest.raises(ConnectionError):
        keep(letter("inventory.reserve_stock", link(placed, "inventory.reserve_stock")["kwargs"]))
    assert placed.saga.status == "running"


class Queue:
    """The broker's channel, with letters to be got from it."""

    def __init__(self, *letters: Message) -> None:
        self.letters = [
            SimpleNamespace(
                body=letter.body,
                delivery_tag=tag,
                properties={"application_headers": letter.headers, "content_type": "application/json"},
            )
            for tag, letter in enumerate(letters)
        ]
        self.acknowledged: list[int] = []

    def basic_get(self, queue: str) -> Any:
        return self.letters.pop(0) if self.letters else None

    def basic_ack(self, tag: int) -> None:
        assert DeadLetter.objects.count() == len(self.acknowledged) + 1
        self.acknowledged.append(tag)


class TestReading:
    """A letter leaves the broker when it is kept here, and not before."""

    @pytest.fixture
    def queue(self, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Queue:
        queue = Queue(*[letter("inventory.reserve_stock", {"n": n}) for n in range(2)])
        monkeypatch.setattr(DeadLetterReader, "open", lambda _: queue)
        return queue

    def test_each_is_kept_then_acknowledged(self, queue: Queue) -> None:
        DeadLetterReader(current_app._get_current_object()).read()
        assert queue.acknowledged == [0, 1]

    def test_one_that_cannot_be_kept_stays_at_the_broker(
        self, queue: Queue, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fails(**_: Any) -> None:
            raise RuntimeError("the disk is full")

        monkeypatch.setattr(DeadLetter.objects, "create", fails)
        with pytest.raises(RuntimeError, match="disk"):
            DeadLetterReader(current_app._get_current_object()).read()
        assert queue.acknowledged == []
