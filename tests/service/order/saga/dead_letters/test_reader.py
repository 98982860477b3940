"""What the dead-letter queue brings back (rule 19, dead letters)."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from celery import Celery
from django.contrib.auth.models import Permission, User
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from kombu import Connection
from kombu.message import Message

from celery_config.broker import topology
from celery_config.broker.properties import REFUSED
from celery_config.broker.validation import MAX_SEPARATORS
from celery_config.messaging.barrier.fences import PIVOT_RAN
from celery_config.saga.dead_letters import reader as module
from celery_config.saga.dead_letters.letter import Letter
from celery_config.saga.dead_letters.reader import BATCH, DeadLetterReader, process_alone, process_letters
from celery_config.saga.engine import runner
from celery_config.saga.engine.machine import StepFailed
from celery_config.saga.engine.unit_of_work import UnitOfWork
from celery_config.saga.models import DeadLetter
from celery_config.saga.testing import list_links
from compose.local.rabbitmq import RabbitServer
from tests import hostile_properties
from tests.hostile_properties import RawMessage
from tests.service.broker import ADMIN, drain, leaderless, make_app
from tests.service.order.conftest import REPLIES, Placed, Shop
from tests.service.order.saga.engine.test_runner import DRIVE, STOP
from tests.service.pages import opened
from tests.service.together import in_background, until

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


def kept(*messages: Message) -> None:
    """Keep them as one batch."""
    process_letters([Letter.parse(message) for message in messages])


def link(placed: Placed, task: str) -> dict[str, Any]:
    (found,) = [link for link in list_links(placed.messages[-1]) if link["task"] == task]
    return found


def dead(placed: Placed, task: str) -> DeadLetter:
    kept(letter(task, link(placed, task)["kwargs"]))
    return DeadLetter.objects.latest("id")


@pytest.fixture
def stopping(placed: Placed) -> Placed:
    runner.request_stop(placed.saga_id, code="cancelled", reason="")
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

    def test_an_action_that_another_service_rejected_only_makes_the_saga_due(self, placed: Placed) -> None:
        """It may have put the link into its own queue: that says nothing of inventory's step."""
        before, task = placed.saga, "inventory.reserve_stock"
        death = [{"reason": "rejected", "queue": "shipment.commands", "count": 1}]
        headers = {"task": task, "id": str(uuid4()), "x-death": death}
        kept(letter(task, link(placed, task)["kwargs"], headers=headers))
        assert placed.saga.status == "running"
        assert placed.saga.due_at < before.due_at
        assert DeadLetter.objects.get().consequence == "its saga is looked at soon"

    def test_a_dead_action_after_the_pivot_only_makes_the_saga_due(self, placed: Placed) -> None:
        """Rule 14."""
        before = placed.saga
        dead(placed, "inventory.commit_stock")
        assert placed.saga.status == "running"
        assert placed.saga.due_at < before.due_at

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
        kept(letter(task, about))
        assert placed.saga.status == "running"
        assert placed.chains == [DRIVE]
        assert placed.saga.due_at < before.due_at

    def test_a_dead_batch_of_events_makes_every_saga_due_that_it_tells_of(
        self, placed: Placed, stopping: Placed
    ) -> None:
        before = [each.saga.due_at for each in (placed, stopping)]
        about = [{"saga": str(each.saga_id), "step": "reserve-stock"} for each in (placed, stopping)]
        kept(letter("events.receive_all", {"events": [*about, {"saga": str(uuid4())}, "no event"]}))
        assert [each.saga.due_at for each in (placed, stopping)] < before
        assert DeadLetter.objects.get().consequence == "the sagas of its events are looked at soon"

    def test_an_ended_saga_is_left_as_it_is(self, placed: Placed) -> None:
        placed.set(status="completed", due_at=None)
        assert dead(placed, "inventory.reserve_stock").saga == placed.saga_id
        assert (placed.saga.status, placed.saga.due_at, placed.chains) == ("completed", None, [DRIVE])


class TestWhatIsKept:
    """What belongs to no saga is kept and shown, whatever it is."""

    def test_a_letter_of_an_unknown_saga(self, shop: Shop) -> None:
        kept(letter("payment.authorize_payment", {"saga": str(uuid4()), "step": "x", "operation": "do"}))
        assert DeadLetter.objects.get().consequence == "kept: no such saga here"

    def test_a_letter_of_an_unknown_step(self, placed: Placed) -> None:
        kept(
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
            letter("x", {}, headers={"task": "x", "id": "1", "not": {"a": [math.nan, -math.inf]}}),
            letter("x", {}, headers={"task": "x", "x-death": "of old age"}),
            letter("x", {}, headers={"task": "x", "x-death": [7]}),
            letter("x", {"step": "\udfff" * 5, "saga": ["\ud800"]}),
            letter("x", {}, body=b"y" * 200_000),
            letter("x", {}, body=b"[[], {}, " + b"[" * 100_000),
        ],
    )
    def test_garbage(self, db: None, message: Message) -> None:
        """One that cannot be stored would be read for ever and hold up all behind it."""
        kept(message)
        row = DeadLetter.objects.get()
        assert row.consequence == "kept: it belongs to no saga"
        assert row.fault
        assert len(row.body) <= 64 * 1024

    def test_one_that_would_fill_the_memory_is_not_decoded(
        self, db: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The relay would end, and read it again at its next start."""
        message = letter("x", {}, body=b"[" + b"{}," * MAX_SEPARATORS + b"{}]")
        monkeypatch.setattr(Message, "decode", lambda *_: pytest.fail("it is decoded"))
        kept(message)
        assert "parts, more than" in DeadLetter.objects.get().fault

    @pytest.mark.parametrize("error", [RecursionError, MemoryError])
    def test_one_that_cannot_be_read_at_all(
        self, db: None, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
    ) -> None:
        def fails(_: Message) -> Letter:
            raise error

        monkeypatch.setattr(Letter, "read", fails)
        kept(letter("x", {"n": 1}))
        row = DeadLetter.objects.get()
        assert (row.fault, row.reason) == (f"it cannot be read: {error.__name__}", "unknown")
        assert json.loads(row.body)[1] == {"n": 1}

    def test_a_body_is_readable(self, shop: Shop) -> None:
        kept(letter("x", {"n": 1}))
        assert json.loads(DeadLetter.objects.get().body)[1] == {"n": 1}


def rejected(task: str, kwargs: dict[str, Any], queue: str, *args: Any) -> str:
    """Why the message was rejected, as the page shows it."""
    death = [{"reason": "rejected", "queue": queue, "count": 1}]
    body = json.dumps([args, kwargs, {}]).encode()
    kept(letter(task, kwargs, headers={"task": task, "id": str(uuid4()), "x-death": death}, body=body))
    return DeadLetter.objects.latest("id").fault


class TestWhyItWasRejected:
    """A message that Celery could read and its worker could not."""

    QUEUES = ("payment.commands", "inventory.commands", "shipment.commands", "order.commands")

    def test_whatever_a_saga_sends_fits(self, stopping: Placed) -> None:
        queues = {name.partition(".")[0]: name for name in self.QUEUES}
        for each in (link for message in stopping.messages for link in list_links(message)):
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
            (
                {},
                "it fits its task as this release knows it, and its worker rejected it: that worker",
            ),
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


class TestABatch:
    """Many letters in one transaction; each has the consequence that it would have had alone."""

    def letters(self, *sagas: Placed) -> list[Message]:
        """Of each saga a dead action, its twin and news; one of nobody's, and one of no saga here."""
        about = {"step": "reserve-stock", "operation": "do"}
        return [
            *(letter("inventory.reserve_stock", about | {"saga": str(each.saga_id)}) for each in sagas * 2),
            *(letter("events.receive", about | {"saga": str(each.saga_id)}) for each in sagas),
            letter("events.receive_all", {"events": [{"saga": str(each.saga_id)} for each in sagas]}),
            letter("inventory.reserve_stock", about | {"saga": str(uuid4())}),
            letter("x", {}, body=b"garbage"),
        ]

    def test_each_has_its_own_consequence(self, shop: Shop) -> None:
        first, other = shop.order(), shop.order()
        kept(*self.letters(first, other))
        failed, looked_at = "taken as the failure of reserve-stock (do)", "its saga is looked at soon"
        assert list(DeadLetter.objects.order_by("id").values_list("consequence", flat=True)) == [
            failed, failed, failed, failed, looked_at, looked_at, "the sagas of its events are looked at soon",
            "kept: no such saga here", "kept: it belongs to no saga",
        ]  # fmt: skip
        for each in (first, other):
            assert each.chains == [DRIVE, STOP]
            assert each.decisions() == ["running stopping"]

    def test_together_they_do_what_they_do_one_by_one(self, shop: Shop) -> None:
        together, alone = shop.order(), shop.order()
        kept(*self.letters(together))
        for message in self.letters(alone):
            kept(message)
        assert together.chains == alone.chains
        assert together.decisions() == alone.decisions()
        assert (together.saga.status, together.saga.attempt) == (alone.saga.status, alone.saga.attempt)
        assert abs(together.saga.due_at - alone.saga.due_at) < timedelta(seconds=10)

    def test_twins_of_a_dead_undo(self, stopping: Placed) -> None:
        message = letter("inventory.release_stock", link(stopping, "inventory.release_stock")["kwargs"])
        kept(message, message)
        assert stopping.saga.status == "stopping"
        assert stopping.saga.attempt == len(stopping.chains) - 1 == 3

    def test_statements_do_not_grow_with_the_batch(self, shop: Shop) -> None:
        few, many = ([shop.order() for _ in range(count)] for count in (2, 20))
        with CaptureQueriesContext(connection) as for_few:
            kept(*self.letters(*few))
        with CaptureQueriesContext(connection) as for_many:
            kept(*self.letters(*many))
        assert len(for_many) == len(for_few)

    def test_the_letters_and_their_consequences_are_one_transaction(
        self, placed: Placed, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Acknowledged after its commit: read twice it acts twice, which barriers bear; never lost."""

        def fails(*_: Any) -> None:
            raise ConnectionError

        monkeypatch.setattr(module, "insert_letters", fails)
        with pytest.raises(ConnectionError):
            kept(letter("inventory.reserve_stock", link(placed, "inventory.reserve_stock")["kwargs"]))
        assert placed.saga.status == "running"

    def test_one_whose_saga_cannot_be_told_is_kept_and_says_so(
        self, placed: Placed, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        poisoned(placed, monkeypatch)
        (message, *_) = self.letters(placed)
        process_alone(Letter.parse(message))
        assert DeadLetter.objects.get().consequence == "kept, but its saga could not be told: RuntimeError"
        assert placed.saga.status == "running"


def poisoned(placed: Placed, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on no failure of this saga can be taken."""
    take = UnitOfWork.apply_trigger

    def fails(work: UnitOfWork[Any, Any], row: Any, came: Any, *more: Any) -> Any:
        if row.pk == placed.saga_id and isinstance(came, StepFailed):
            raise RuntimeError("a bug")
        return take(work, row, came, *more)

    monkeypatch.setattr(UnitOfWork, "apply_trigger", fails)


@pytest.mark.django_db(transaction=True)
class TestReading:
    """From a real RabbitMQ: a letter leaves the broker when it is kept here, and not before."""

    @pytest.fixture
    def app(self, rabbit: RabbitServer, tmp_path: Path) -> Iterator[Celery]:
        with make_app("order", rabbit, tmp_path) as app:
            yield app

    @pytest.fixture
    def reader(self, app: Celery) -> Iterator[DeadLetterReader]:
        reader = DeadLetterReader(app)
        yield reader
        reader.close()

    @staticmethod
    def send(rabbit: RabbitServer, *messages: Message) -> None:
        options = {"confirm_publish": True}
        origin = {"x-first-death-queue": DEATH[0]["queue"]}
        with Connection(rabbit.url(ADMIN), transport_options=options) as connection:
            channel = connection.default_channel
            for each in messages:
                raw = channel.prepare_message(
                    each.body,
                    content_type=each.content_type,
                    content_encoding=each.content_encoding,
                    headers={**{n: value for n, value in each.headers.items() if n != "x-death"}, **origin},
                )
                channel.basic_publish(raw, exchange=topology.DEAD_LETTERS, routing_key="")

    @staticmethod
    def read_until(reader: DeadLetterReader, count: int) -> None:
        def all_kept() -> bool:
            reader.read()
            return DeadLetter.objects.count() >= count

        until(all_kept, f"{count} letters are kept")

    @staticmethod
    def left(rabbit: RabbitServer, reader: DeadLetterReader) -> int:
        """How many the broker still has, when nobody reads."""
        reader.close()
        return len(drain(rabbit, topology.DEAD_LETTERS))

    def test_more_than_one_batch(self, shop: Shop, rabbit: RabbitServer, reader: DeadLetterReader) -> None:
        self.send(rabbit, *(letter("x", {"n": n}) for n in range(2 * BATCH + 1)))
        self.read_until(reader, 2 * BATCH + 1)
        bodies = DeadLetter.objects.values_list("body", flat=True)
        assert sorted(json.loads(body)[1]["n"] for body in bodies) == [*range(2 * BATCH + 1)]
        assert self.left(rabbit, reader) == 0

    def test_those_with_properties_that_no_client_writes(
        self, shop: Shop, rabbit: RabbitServer, reader: DeadLetterReader
    ) -> None:
        """Each of them ended the reading, again and again, and held up all behind it."""
        hostile = hostile_properties.hostile("inventory.reserve_stock").values()
        with Connection(rabbit.url(ADMIN), transport_options={"confirm_publish": True}) as connection:
            for raw in hostile:
                message = RawMessage(zlib.compress(bytes(10_000_000)), raw)
                connection.default_channel.basic_publish(message, topology.DEAD_LETTERS, b"\xff\xfe")
        self.send(rabbit, letter("x", {"n": 1}))
        self.read_until(reader, len(hostile) + 1)
        *others, last = DeadLetter.objects.order_by("id")
        assert (last.task, self.left(rabbit, reader)) == ("x", 0)
        for row in others:
            assert (row.task, row.fault) == ("inventory.reserve_stock", row.headers[REFUSED])

    def test_an_error_while_reading_leaves_no_half_message_behind(
        self, shop: Shop, rabbit: RabbitServer, reader: DeadLetterReader, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fails(*_: Any) -> bool:
            raise RuntimeError("a bug")

        self.send(rabbit, letter("x", {"n": 1}))
        with monkeypatch.context() as broken:
            broken.setattr(module.transport, "drain_one", fails)
            assert raises(reader.read, RuntimeError)
        assert reader.connection is None
        self.read_until(reader, 1)

    def test_a_batch_is_acknowledged_with_one_frame(
        self, shop: Shop, rabbit: RabbitServer, reader: DeadLetterReader, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        reader.open()
        acks: list[tuple[int, bool]] = []
        ack = reader.channel.basic_ack

        def counted(tag: int, multiple: bool) -> None:
            assert DeadLetter.objects.count() == tag
            acks.append((tag, multiple))
            ack(tag, multiple=multiple)

        monkeypatch.setattr(reader.channel, "basic_ack", counted)
        self.send(rabbit, *(letter("x", {"n": n}) for n in range(30)))
        self.read_until(reader, 30)
        assert acks[-1] == (30, True)
        assert len(acks) < 30

    def test_a_poison_is_kept_alone_and_spoils_no_other(
        self, shop: Shop, rabbit: RabbitServer, reader: DeadLetterReader, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        good, bad = shop.order(), shop.order()
        poisoned(bad, monkeypatch)
        about = {"step": "reserve-stock", "operation": "do"}
        some = [
            letter("inventory.reserve_stock", about | {"saga": str(each.saga_id)})
            for each in (bad, good, bad, good)
        ]
        self.send(rabbit, *some, letter("x", {}, body=b"\xff garbage"))
        self.read_until(reader, 5)
        assert (good.saga.status, bad.saga.status) == ("stopping", "running")
        assert DeadLetter.objects.filter(consequence__endswith=": RuntimeError").count() == 2
        assert (DeadLetter.objects.count(), self.left(rabbit, reader)) == (5, 0)

    def test_what_the_database_does_not_take_stays_with_the_broker(
        self, shop: Shop, rabbit: RabbitServer, reader: DeadLetterReader, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """And is not given out again and again meanwhile: the reader has it in hand."""

        def fails(*_: Any) -> None:
            raise OperationalError("the disk is full")

        self.send(rabbit, letter("x", {"n": 1}), letter("x", {"n": 2}))
        with monkeypatch.context() as broken:
            broken.setattr(module, "insert_letters", fails)
            until(lambda: raises(reader.read, OperationalError), "the letters have come")
            assert raises(reader.read, OperationalError)
        assert not DeadLetter.objects.exists()
        self.read_until(reader, 2)
        assert not DeadLetter.objects.filter(headers__has_key="x-delivery-count").exists()
        assert self.left(rabbit, reader) == 0

    def test_of_a_reader_that_dies_the_next_one_reads_them(
        self, shop: Shop, app: Celery, rabbit: RabbitServer, reader: DeadLetterReader
    ) -> None:
        dies = DeadLetterReader(app)
        self.send(rabbit, *(letter("x", {"n": n}) for n in range(3)))
        until(lambda: dies.receive() and len(dies.unacknowledged) == 3, "they have come")
        dies.close()
        self.read_until(reader, 3)
        assert (DeadLetter.objects.count(), self.left(rabbit, reader)) == (3, 0)

    def test_it_outlives_the_broker(self, shop: Shop, rabbit: RabbitServer, reader: DeadLetterReader) -> None:
        self.send(rabbit, letter("x", {"n": 1}))
        self.read_until(reader, 1)
        rabbit.stop()
        reader.read()
        reader.read()
        rabbit.start()
        self.send(rabbit, letter("x", {"n": 2}))
        self.read_until(reader, 2)

    def test_a_queue_without_a_leader_is_not_waited_for(
        self, shop: Shop, rabbit: RabbitServer, reader: DeadLetterReader
    ) -> None:
        with leaderless(rabbit, topology.DEAD_LETTERS):
            read = in_background(reader.read)
            read.result(5)


def raises(call: Callable[[], object], error: type[Exception]) -> bool:
    try:
        call()
    except error:
        return True
    return False


class TestDealtWith:
    PAGE = "/admin/saga/deadletter/"

    def deal_with(self, client: Client, *letters: DeadLetter, why: str = "sent by hand") -> str:
        form = {"action": "deal_with", "why": why, "_selected_action": [str(each.pk) for each in letters]}
        return str(client.post(self.PAGE, form, follow=True).content.decode())

    def test_an_operator_says_so_once(self, shop: Shop, admin_client: Client) -> None:
        kept(*(letter("x", {"n": n}) for n in range(3)))
        first, second, third = DeadLetter.objects.order_by("id")
        assert "2 dead letters dismissed" in self.deal_with(admin_client, first, second)
        before = DeadLetter.objects.get(pk=first.pk)
        assert (before.dealt_with_by, before.dealt_with_why) == ("admin", "sent by hand")
        assert before.dealt_with_at
        assert "1 dead letter dismissed" in self.deal_with(admin_client, first, third)
        assert DeadLetter.objects.get(pk=first.pk).dealt_with_at == before.dealt_with_at

    def test_without_a_reason_nothing_is_dealt_with(self, shop: Shop, admin_client: Client) -> None:
        kept(letter("x", {"n": 1}))
        assert "Nothing was changed: say why" in self.deal_with(
            admin_client, DeadLetter.objects.get(), why=" "
        )
        assert DeadLetter.objects.get().dealt_with_at is None

    def test_who_may_only_look_may_not(
        self, shop: Shop, client: Client, django_user_model: type[User]
    ) -> None:
        user = django_user_model.objects.create_user("eve", password="x", is_staff=True)
        user.user_permissions.add(Permission.objects.get(codename="view_deadletter"))
        client.force_login(user)
        kept(letter("x", {"n": 1}))
        page = client.get(self.PAGE).content.decode()
        assert "deal_with" not in page
        self.deal_with(client, DeadLetter.objects.get())
        assert DeadLetter.objects.get().dealt_with_at is None

    def test_what_is_left_can_be_listed(self, shop: Shop, admin_client: Client) -> None:
        kept(letter("done.task", {"n": 1}), letter("open.task", {"n": 2}))
        self.deal_with(admin_client, DeadLetter.objects.get(task="done.task"))
        page, _ = opened(admin_client, "saga_deadletter", dealt_with_at__isempty="1")
        assert "open.task" in page
        assert "done.task" not in page
