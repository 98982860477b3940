"""A worker sets aside what an operator holds, and the relay lets it go (rule 30, holds)."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from django.db import DataError, OperationalError, connection
from django.db.models import Count
from django.test.utils import CaptureQueriesContext

from celery_config.common.identifiers import uuid7
from celery_config.messaging.deliveries import HeldBack
from celery_config.messaging.holds import hold_list, reading
from celery_config.messaging.holds.hold_list import Listing, forget_holds, keep_listing, read_holds
from celery_config.messaging.holds.reading import hold_duties
from celery_config.messaging.holds.releasing import check_holds, release_messages
from celery_config.messaging.holds.targets import AskedStep, KnownHold, encode_holds, find_hold
from celery_config.messaging.models import BarrierRow, HoldList, OutboxMessage
from celery_config.messaging.outbox import writing
from celery_config.messaging.outbox.publishing import due_rows
from celery_config.messaging.outbox.relay import find_needed
from celery_config.messaging.tasks import DurableTask
from tests.service.celery_config.worker.test_batches import context, outcomes, tasks
from tests.service.shipped import read_made
from tests.trip import BookHotel, CancelHotel

__all__ = ["tasks"]
pytestmark = pytest.mark.django_db
BOOK, CANCEL = BookHotel.wire_name(), CancelHotel.wire_name()
VERSIONS = iter(range(1, 1000))


def make_hold(**more: Any) -> KnownHold:
    about: dict[str, Any] = {"commands": frozenset({BOOK})} | more
    return KnownHold(
        id=uuid7(), label="the hotel", since=datetime.now(UTC), by="ada", why="it is full", **about
    )


def know(*holds: KnownHold) -> None:
    """As if the orchestrator had just said so."""
    assert keep_listing(Listing("e1", next(VERSIONS), encode_holds(holds)))


@pytest.fixture
def hotel(tasks: dict[str, DurableTask]) -> DurableTask:
    return tasks[BOOK]


@pytest.fixture
def undo(tasks: dict[str, DurableTask]) -> DurableTask:
    return tasks[CANCEL]


class TestWhatAHoldCovers:
    SAGA = uuid7()

    def ask(self, command: str = BOOK, operation: str = "do", saga: UUID = SAGA) -> AskedStep:
        return AskedStep(saga=saga, command=command, operation=operation)

    @pytest.mark.parametrize(
        ("hold", "covers"),
        [
            ({"service": BOOK.partition(".")[0], "commands": frozenset()}, True),
            ({"service": "payment", "commands": frozenset()}, False),
            ({}, True),
            ({"commands": frozenset({CANCEL})}, False),
            ({"commands": frozenset(), "flows": frozenset({SAGA})}, True),
            ({"commands": frozenset(), "flows": frozenset({uuid4()})}, False),
        ],
    )
    def test_a_service_commands_or_flows(self, hold: dict[str, Any], covers: bool) -> None:
        assert make_hold(**hold).covers(self.ask()) is covers

    @pytest.mark.parametrize("operation", ["undo", "fence"])
    def test_undos_and_fences_pass_unless_they_are_named(self, operation: str) -> None:
        assert not make_hold().covers(self.ask(operation=operation))
        assert make_hold(undos=True).covers(self.ask(operation=operation))

    def test_flows_are_let_go_in_the_order_of_their_age(self) -> None:
        first, mark, last = sorted(uuid7() for _ in range(3))
        hold = make_hold(let_go_to=mark)
        assert [hold.covers(self.ask(saga=saga)) for saga in (first, mark, last)] == [False, False, True]

    def test_the_first_hold_that_covers_it_counts(self) -> None:
        away, here = make_hold(commands=frozenset()), make_hold()
        assert find_hold([away, here], self.ask()) == here
        assert find_hold([away, here], None) is None


class TestWorkers:
    def test_set_aside_what_is_held_with_its_chain(self, hotel: DurableTask) -> None:
        hold, request = make_hold(), context()
        know(hold)
        (held,) = outcomes(hotel, request)
        assert isinstance(held, HeldBack)
        assert not BarrierRow.objects.exists()
        row = OutboxMessage.objects.get()
        assert (row.hold, str(row.saga), row.name) == (hold.id, request.kwargs["saga"], BOOK)
        options = row.payload["options"]
        assert (options["chain"], options["link_error"], options["task_id"], options["retries"]) == (
            request.chain,
            request.errbacks,
            request.id,
            0,
        )
        assert not due_rows().exists()

    def test_do_the_others_of_the_same_batch(self, hotel: DurableTask) -> None:
        held = context()
        know(make_hold(commands=frozenset(), flows=frozenset({UUID(held.kwargs["saga"])})))
        first, set_aside, last = outcomes(hotel, context(), held, context())
        assert (set(first), set(last)) == ({"hotel"}, {"hotel"})
        assert isinstance(set_aside, HeldBack)
        assert read_made().count() == 2

    def test_let_undos_pass(self, undo: DurableTask) -> None:
        know(make_hold(commands=frozenset({BOOK, CANCEL})))
        (undone,) = outcomes(undo, context(operation="undo"))
        assert not isinstance(undone, HeldBack)
        know(make_hold(commands=frozenset({BOOK, CANCEL}), undos=True))
        (undone,) = outcomes(undo, context(operation="undo"))
        assert isinstance(undone, HeldBack)

    def test_ask_nothing_for_each_message_while_nothing_is_held(self, hotel: DurableTask) -> None:
        outcomes(hotel, context())
        with CaptureQueriesContext(connection) as asked:
            outcomes(hotel, context())
        assert not [each for each in asked if "holdlist" in each["sql"]]

    def test_set_many_aside_with_as_many_statements_as_few(self, hotel: DurableTask) -> None:
        know(make_hold())
        outcomes(hotel, context())
        with CaptureQueriesContext(connection) as few:
            outcomes(hotel, context(), context())
        with CaptureQueriesContext(connection) as many:
            outcomes(hotel, *(context() for _ in range(40)))
        assert len(many) == len(few)

    def test_do_not_set_aside_what_was_let_go_a_moment_ago(
        self, hotel: DurableTask, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Their memory is up to a second old; before they hold something they read the list afresh."""
        know(make_hold())
        read_holds()
        HoldList.objects.update(content=[])
        (done,) = outcomes(hotel, context())
        assert set(done) == {"hotel"}

    def test_keep_one_row_of_a_step_however_often_it_comes(self, hotel: DurableTask) -> None:
        """Also under another id and number of its attempt: neither is proved by its code."""
        know(make_hold())
        saga = uuid7()
        twins = [context(saga=saga) for _ in range(3)]
        twins[1].id, twins[2].kwargs["attempt"] = "another", 7
        for some in ([twins[0], twins[1]], [twins[2]], [context()]):
            assert all(isinstance(each, HeldBack) for each in outcomes(hotel, *some))
        assert sorted(Counter(OutboxMessage.objects.values_list("saga", flat=True)).values()) == [1, 1]

    def test_keep_it_again_once_it_was_let_go(self, hotel: DurableTask) -> None:
        know(make_hold())
        saga = uuid7()
        outcomes(hotel, context(saga=saga))
        know()
        release_messages()
        know(make_hold())
        outcomes(hotel, context(saga=saga))
        assert [row.hold is None for row in OutboxMessage.objects.order_by("pk")] == [True, False]

    def test_one_that_cannot_be_stored_spoils_no_other(
        self, hotel: DurableTask, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        odd, hold_tasks = context(), writing.hold_tasks

        def fail(held: Any) -> None:
            rows = list(held)
            if any(str(saga) == odd.kwargs["saga"] for _, saga, *_ in rows):
                raise DataError("it cannot be stored")
            hold_tasks(rows)

        monkeypatch.setattr(writing, "hold_tasks", fail)
        know(make_hold())
        good, bad = outcomes(hotel, context(), odd)
        assert isinstance(good, HeldBack)
        assert not isinstance(bad, HeldBack)
        assert OutboxMessage.objects.filter(hold__isnull=False).count() == 1


class TestLettingGo:
    def hold_one(self, hotel: DurableTask, hold: KnownHold) -> UUID:
        request = context(saga=uuid7())
        know(hold)
        outcomes(hotel, request)
        return UUID(request.kwargs["saga"])

    def due(self) -> set[UUID | None]:
        return {*due_rows().values_list("saga", flat=True)}

    def count_held(self) -> dict[UUID, int]:
        """How many messages each hold holds."""
        held = OutboxMessage.objects.filter(hold__isnull=False).order_by().values_list("hold")
        return dict(held.annotate(n=Count("pk")))

    def test_sends_nothing_while_it_is_held(self, hotel: DurableTask) -> None:
        hold = make_hold()
        self.hold_one(hotel, hold)
        assert release_messages() is False
        assert self.due() == set()
        assert self.count_held() == {hold.id: 1}

    def test_sends_what_nobody_holds_any_more(self, hotel: DurableTask) -> None:
        saga = self.hold_one(hotel, make_hold())
        know()
        release_messages()
        assert self.due() == {saga}
        assert self.count_held() == {}

    def test_sends_the_flows_up_to_the_mark(self, hotel: DurableTask) -> None:
        hold = make_hold()
        first, second = sorted((self.hold_one(hotel, hold), self.hold_one(hotel, hold)))
        know(replace(hold, let_go_to=first))
        release_messages()
        assert self.due() == {first}
        know(replace(hold, let_go_to=second))
        release_messages()
        assert self.due() == {first, second}

    def test_goes_on_with_the_rest_of_many(self, hotel: DurableTask, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("celery_config.messaging.holds.releasing.BATCH", 2)
        hold = make_hold()
        for _ in range(3):
            self.hold_one(hotel, hold)
        know()
        assert release_messages() is True
        assert release_messages() is False
        assert len(self.due()) == 3

    def test_costs_one_statement_while_nothing_is_held(self, django_assert_num_queries: Any) -> None:
        (release, *_) = hold_duties()
        with django_assert_num_queries(1):
            assert find_needed([release]) == []

    def test_an_older_or_a_doubled_one_changes_nothing(self) -> None:
        hold = make_hold()
        assert keep_listing(Listing("e1", 7, encode_holds([hold])))
        assert not keep_listing(Listing("e1", 7, []))
        assert not keep_listing(Listing("e1", 6, []))
        assert read_holds() == (hold,)

    def test_one_of_another_epoch_counts(self) -> None:
        """The orchestrator's database was set back: its versions begin again."""
        keep_listing(Listing("e1", 7, encode_holds([make_hold()])))
        assert keep_listing(Listing("e2", 1, []))
        assert read_holds() == ()

    def test_an_answer_without_news_changes_nothing(self) -> None:
        keep_listing(Listing("e1", 7, encode_holds([make_hold()])))
        assert not keep_listing(Listing("e1", 7))
        assert len(read_holds()) == 1

    def test_what_is_no_list_is_refused_whole(self) -> None:
        keep_listing(Listing("e1", 7, encode_holds([make_hold()])))
        with pytest.raises(msgspec.ValidationError):
            keep_listing(Listing("e1", 8, [{"id": "x"}]))
        assert len(read_holds()) == 1

    def test_what_was_read_last_counts_while_the_database_is_away(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hold = make_hold()
        know(hold)
        read_holds()
        forget_holds()

        def fail() -> HoldList:
            raise OperationalError("away")

        monkeypatch.setattr(hold_list, "read_row", fail)
        monkeypatch.setattr(hold_list, "connection", SimpleNamespace(in_atomic_block=False))
        assert read_holds() == (hold,)


class TestReading:
    @pytest.fixture
    def answers(self, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
        """What the orchestrator answers, and what it was asked."""
        told: dict[str, Any] = {"answer": {}, "asked": []}

        def get(_: Any, path: str) -> Any:
            told["asked"].append(path)
            if isinstance(told["answer"], Exception):
                raise told["answer"]
            return told["answer"]

        monkeypatch.setattr("celery_config.http.service_client.ServiceClient.get", get)
        return told

    def test_brings_what_is_held(self, answers: dict[str, Any]) -> None:
        hold = make_hold()
        answers["answer"] = {"epoch": "e1", "version": 3, "holds": encode_holds([hold])}
        reading.HoldReader().run()
        assert read_holds() == (hold,)
        reading.HoldReader().run()
        assert answers["asked"][1] == "/api/holds/known/?epoch=e1&version=3"

    @pytest.mark.parametrize(
        "answer", [{"epoch": 1}, {"epoch": "e1", "version": 9, "holds": [{"id": "?"}]}, []]
    )
    def test_an_answer_that_makes_no_sense_changes_nothing(
        self, answers: dict[str, Any], answer: Any
    ) -> None:
        hold = make_hold()
        know(hold)
        answers["answer"] = answer
        reading.HoldReader().run()
        assert read_holds() == (hold,)


def test_readiness_says_what_is_held_and_how_much_waits(hotel: DurableTask) -> None:
    assert check_holds() == "ok"
    know(make_hold())
    outcomes(hotel, context())
    said = check_holds()
    assert said.startswith("warning: the hotel is held since ")
    assert said.endswith(" UTC; 1 message held here")
    assert "ada" not in said, "anybody may ask"
