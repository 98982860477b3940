"""A participant's task in Celery's own tracer: its next link, and its retries (rule 10, locks and retries)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from celery import current_app
from celery.app.task import Context
from celery.app.trace import build_tracer
from celery.exceptions import Reject
from django.conf import settings
from django.db import InternalError, OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from psycopg.errors import LockNotAvailable

from celery_config.contracts.base import TOLD_SINGLY, StepTried, encode, is_told
from celery_config.errors import DefinitionError, OutcomeUnknown, ServiceUnavailable
from celery_config.messaging import database_gate
from celery_config.messaging.barrier.fences import PIVOT_RAN
from celery_config.messaging.barrier.steps import Handler
from celery_config.messaging.models import BarrierRow, OutboxMessage, Trouble
from celery_config.messaging.outbox import writing
from celery_config.messaging.tasks import LONGEST_SHOWN
from celery_config.participant import handlers
from celery_config.saga.engine.chains import COMPENSATED, STEP_FAILED, ChainBuilder
from celery_config.saga.engine.machine import Drive, UndoBefore
from celery_config.saga.engine.plan import Operation, PlannedLink
from tests.service.celery_config.conftest import Bank, Hotel
from tests.trip import BookFlight, BookHotel, CancelHotel, ChargeTrip, Trip, TripData

pytestmark = pytest.mark.django_db
FENCE = f"{settings.SERVICE}.fence"


@pytest.fixture(autouse=True)
def _gate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_gate, "database_away", threading.Event())
    # Within a test's transaction a connection that is dropped takes everything along.
    monkeypatch.setattr(connection, "close", lambda: None)


@pytest.fixture(scope="module")
def registered() -> Any:
    """The hotel's two tasks, registered as a participant's; each test runs them with its own hotel."""
    behind: dict[str, Hotel] = {}
    tasks = [
        handlers.register_handler(
            Handler(BookHotel, local=handlers.one_by_one(lambda command: behind["hotel"].book(command)))
        ),
        handlers.register_handler(
            Handler(CancelHotel, local=handlers.one_by_one(lambda command: behind["hotel"].cancel(command)))
        ),
    ]
    yield behind
    for command, task in zip((BookHotel, CancelHotel), tasks, strict=True):
        del handlers.registry[command.wire_name()]
        current_app.tasks.unregister(task.name)


@pytest.fixture
def trip(registered: dict[str, Hotel], hotel: Hotel) -> ChainBuilder:
    registered["hotel"] = hotel
    return ChainBuilder(Trip, hotel.saga, encode(TripData(trip=hotel.trip, nights=2)), attempt=0)


def deliver(message: dict[str, Any], *, retries: int = 0) -> Any:
    """Run a message as a worker would; return what Celery's tracer says of it: (value, failure or None)."""
    options = message["options"]
    request = {
        "id": options["task_id"],
        "root_id": "root",
        "parent_id": "parent",
        "args": message["args"],
        "kwargs": message["kwargs"],
        "chain": [dict(link) for link in options["chain"]],
        "errbacks": options["link_error"],
        "retries": retries,
        "is_eager": False,
        "delivery_info": {},
    }
    task = current_app.tasks[message["task"]]
    traced = build_tracer(task.name, task, app=current_app._get_current_object())(
        options["task_id"], message["args"], message["kwargs"], request
    )
    return traced.retval, traced.info


def test_the_reply_joins_the_others_and_the_next_link_is_published(
    trip: ChainBuilder, sent: list[Any], hotel: Hotel
) -> None:
    """Rule 6 (outcomes): the link's own task id, route and errback are kept (rules 2 and 3)."""
    chain = trip.build(Drive("hotel"), {"earlier": {"x": 1}})
    replies, failure = deliver(chain)
    assert failure is None
    assert replies == {"earlier": {"x": 1}, "hotel": hotel.row.reply}
    (following,) = sent
    flight = chain["options"]["chain"][-1]
    assert following["task"] == BookFlight.wire_name()
    assert following["args"] == [replies]
    assert following["kwargs"] == flight["kwargs"]
    for option in ("task_id", "exchange", "routing_key", "mandatory"):
        assert following["options"][option] == flight["options"][option]
    assert following["options"]["link_error"] == flight["options"]["link_error"]
    assert [link["task"] for link in following["options"]["chain"]] == [
        link["task"] for link in chain["options"]["chain"][:-1]
    ]


def test_another_attempt_is_answered_from_the_barrier(
    trip: ChainBuilder, sent: list[Any], hotel: Hotel
) -> None:
    """Rule 2 (ids): a step's id is the same however often it is sent; only the task's id tells attempts apart."""
    first, _ = deliver(trip.build(Drive("hotel")))
    again, _ = deliver(replace(trip, attempt=1).build(Drive("hotel")))
    assert again == first
    assert hotel.bookings == 1
    assert sent[0]["options"]["task_id"] != sent[1]["options"]["task_id"]


def test_a_refusal_fires_the_errback_once_with_nothing_added(
    trip: ChainBuilder, sent: list[Any], hotel: Hotel
) -> None:
    """Rules 3 and 6: after the refusal is committed; the chain ends."""
    hotel.full = True
    _, failure = deliver(trip.build(Drive("hotel")))
    assert "hotel_full" in str(failure.retval)
    (errback,) = sent
    assert (errback["task"], errback["args"]) == (STEP_FAILED, [])
    assert errback["kwargs"] == {"saga": str(hotel.saga), "step": "hotel", "operation": "do", "attempt": 0}
    assert hotel.row.action == "refused"
    assert not OutboxMessage.objects.filter(kind="task").exists()


def test_an_error_is_tried_again_from_the_outbox(trip: ChainBuilder, sent: list[Any], hotel: Hotel) -> None:
    """Rule 10 (locks and retries): the row keeps id, chain and errbacks, counts the try, waits; nothing is fired."""
    hotel.broken = ConnectionError("away")
    chain = trip.build(Drive("hotel"))
    _, failure = deliver(chain, retries=2)
    assert failure is not None
    assert sent == []
    row = OutboxMessage.objects.get(kind="task")
    assert (row.kind, row.saga) == ("task", hotel.saga)
    again = row.payload
    assert (again["task"], again["args"], again["kwargs"]) == (chain["task"], chain["args"], chain["kwargs"])
    options = again["options"]
    assert options["task_id"] == chain["options"]["task_id"]
    assert options["chain"] == chain["options"]["chain"]
    assert options["link_error"] == chain["options"]["link_error"]
    assert (options["retries"], options["root_id"], options["parent_id"]) == (3, "root", "parent")
    assert (options["exchange"], options["routing_key"], options["mandatory"]) == (
        "tasks",
        f"{settings.SERVICE}.{BookHotel.wire_name()}",
        True,
    )
    planned = settings.TIMES.retry_delays[2]
    wait = (row.due_at - timezone.now()).total_seconds()
    assert 0.7 * planned <= wait <= 1.25 * planned
    hotel.broken = None
    assert deliver(again, retries=options["retries"])[1] is None
    assert hotel.bookings == 1


def test_when_the_tries_are_used_up_the_errback_fires_and_the_log_is_told_why(
    trip: ChainBuilder, sent: list[Any], hotel: Hotel
) -> None:
    """Rule 18 (who gives up first): then the orchestrator decides; nothing is stored, for nothing was done."""
    hotel.broken = ConnectionError("away")
    _, failure = deliver(trip.build(Drive("hotel")), retries=len(settings.TIMES.retry_delays))
    assert "away" in str(failure.retval)
    assert [message["task"] for message in sent] == [STEP_FAILED]
    assert hotel.events == ["try 5", "failed"]
    assert not BarrierRow.objects.exists()


def test_an_undo_that_refuses_is_tried_again(trip: ChainBuilder, sent: list[Any], hotel: Hotel) -> None:
    """Rule 6 (outcomes)."""
    hotel.act()
    hotel.broken = handlers.Refused("too_late", "the guest is here")
    deliver(trip.build(UndoBefore("flight")))
    assert sent == []
    assert OutboxMessage.objects.get(kind="task").payload["options"]["retries"] == 1


def test_an_undo_hands_the_replies_on_unchanged(trip: ChainBuilder, sent: list[Any], hotel: Hotel) -> None:
    hotel.act()
    replies, _ = deliver(trip.build(UndoBefore("flight")))
    assert replies == {}
    assert [message["task"] for message in sent] == [COMPENSATED]
    assert hotel.bookings == 0


def test_a_message_that_cannot_be_decoded_goes_to_the_dead_letters_at_once(
    trip: ChainBuilder, sent: list[Any], hotel: Hotel
) -> None:
    """Rule 19 (dead letters): no later try would decode it; its dead letter is an unknown failure of the step."""
    chain = trip.build(Drive("hotel"))
    chain["kwargs"]["command"] = {"trip": "not an id"}
    _, rejected = deliver(chain)
    assert isinstance(rejected.retval, Reject)
    assert rejected.retval.requeue is False
    assert sent == []
    assert not OutboxMessage.objects.exists()
    assert hotel.bookings == 0


@pytest.fixture
def charging(bank: Bank, hotel: Hotel) -> Iterator[Callable[..., Any]]:
    """Delivers the step of a provider, which this participant carries out too."""
    task = handlers.register_handler(bank.charge_handler)
    data = encode(TripData(trip=hotel.trip, nights=2))
    replies = {"hotel": {"booking": str(hotel.trip)}, "flight": {"seat": "1A"}}

    def charge(*, attempt: int = 0, retries: int = 0) -> Any:
        chain = ChainBuilder(Trip, bank.saga, data, attempt=attempt).build(Drive("charge"), replies)
        return deliver(chain, retries=retries)

    yield charge
    del handlers.registry[ChargeTrip.wire_name()]
    current_app.tasks.unregister(task.name)


def fails(error: Exception) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


@pytest.mark.django_db(transaction=True)
class TestTheHistoryOfTries:
    """What a failed try leaves: on the barrier's row, and as an event for the order service."""

    def told(self, saga: UUID) -> list[dict[str, Any]]:
        tried = OutboxMessage.objects.filter(saga=saga, name=StepTried.wire_name()).order_by("id")
        return list(tried.values_list("payload", flat=True))

    def test_of_a_step_at_a_provider_is_on_its_row_and_told(
        self, charging: Callable[..., Any], bank: Bank, sent: list[Any]
    ) -> None:
        began = timezone.now()
        for retries in range(2):
            bank.provider.before = fails(OutcomeUnknown("POST /charges: answered 500: broken"))
            charging(retries=retries)
        row = bank.row
        assert (row.action, row.tries, row.tried) == ("intent", 2, "do")
        assert row.last_error == "unknown_outcome: POST /charges: answered 500: broken"
        promised = OutboxMessage.objects.filter(saga=bank.saga, kind="task").latest("id")
        assert row.next_try_at is not None
        assert abs(promised.due_at - row.next_try_at) < timedelta(seconds=1)
        first, second = self.told(bank.saga)
        assert second["data"] == {
            "step": "charge",
            "operation": "do",
            "number": 2,
            "code": "unknown_outcome",
            "reason": "POST /charges: answered 500: broken",
            "next_at": second["data"]["next_at"],
        }
        assert datetime.fromisoformat(second["data"]["next_at"]) > began
        assert first["id"] != second["id"]
        assert "step" not in second, "an older order service would take it for an outcome"
        charging(retries=2)
        row = bank.row
        assert (row.action, row.tries, len(self.told(bank.saga))) == ("done", 2, 2)

    def test_goes_on_in_the_next_drive_and_its_last_try_has_no_next(
        self, charging: Callable[..., Any], bank: Bank, sent: list[Any]
    ) -> None:
        for attempt in range(2):
            bank.provider.before = fails(OutcomeUnknown("timed out"))
            charging(attempt=attempt, retries=len(settings.TIMES.retry_delays))
        assert (bank.row.tries, bank.row.next_try_at) == (2, None)
        assert [each["data"].get("next_at") for each in self.told(bank.saga)] == [None, None]
        assert bank.events == ["try 1", "failed", "try 2", "failed"]

    def test_of_a_provider_that_stays_away_is_told_ever_more_rarely(
        self, charging: Callable[..., Any], bank: Bank, sent: list[Any]
    ) -> None:
        for _ in range(30):
            bank.provider.before = fails(ServiceUnavailable("away"))
            charging()
        assert bank.row.tries == 30
        told = [each["data"]["number"] for each in self.told(bank.saga)]
        assert told == [*range(1, TOLD_SINGLY + 1), 10, 12, 14, 16, 20, 24, 28]
        assert sum(map(is_told, range(1, 24 * 720 + 1))) == 52

    def test_of_a_step_in_our_own_database_counts_the_tries_of_its_message(
        self, trip: ChainBuilder, hotel: Hotel, sent: list[Any]
    ) -> None:
        hotel.broken = ConnectionError("away")
        for retries in range(2):
            deliver(trip.build(Drive("hotel")), retries=retries)
        assert [each["data"]["number"] for each in self.told(hotel.saga)] == [1, 2]
        assert not BarrierRow.objects.exists()
        hotel.broken = ServiceUnavailable("away")
        deliver(trip.build(Drive("hotel")))
        assert len(self.told(hotel.saga)) == 2, "nothing bounds how often such a wait would be told"

    def test_of_an_undo_begins_anew(self, trip: ChainBuilder, hotel: Hotel, sent: list[Any]) -> None:
        hotel.act()
        BarrierRow.objects.update(tries=4, tried="do")
        hotel.broken = RuntimeError("the desk is closed")
        for retries in range(2):
            deliver(trip.build(UndoBefore("flight")), retries=retries)
        assert (hotel.row.tries, hotel.row.tried, hotel.row.last_error) == (
            2,
            "undo",
            "error: the desk is closed",
        )

    def test_a_step_that_succeeds_at_once_writes_nothing_of_it(
        self, charging: Callable[..., Any], bank: Bank, sent: list[Any]
    ) -> None:
        with CaptureQueriesContext(connection) as done:
            charging()
        written = [
            each["sql"] for each in done if not each["sql"].startswith(("SELECT", "SAVEPOINT", "RELEASE"))
        ]
        assert not [sql for sql in written if "tries" in sql or "last_error" in sql or "step_tried" in sql]
        assert (bank.row.tries, bank.row.last_error, bank.row.next_try_at) == (0, "", None)
        assert bank.events == ["done"]

    def test_that_cannot_be_written_harms_no_message(
        self, charging: Callable[..., Any], bank: Bank, sent: list[Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(*_: Any) -> None:
            raise OperationalError("canceling statement due to lock timeout")

        monkeypatch.setattr(writing, "add_events", broken)
        bank.provider.before = fails(OutcomeUnknown("timed out"))
        charging()
        assert (bank.row.tries, OutboxMessage.objects.get().kind) == (0, "task")
        assert not database_gate.database_away.is_set()


class TestFence:
    def fence(self, trip: ChainBuilder, pivot: str) -> dict[str, Any]:
        link = trip.build_link(PlannedLink(Operation.FENCE, Trip.steps[0].name))
        link["task"], link["kwargs"]["pivot"] = FENCE, pivot
        undo = trip.build_link(PlannedLink(Operation.UNDO, "hotel"))
        return link | {"args": [{}], "options": link["options"] | {"chain": [undo]}}

    def test_of_a_pivot_that_never_ran_lets_the_undos_pass(
        self, trip: ChainBuilder, sent: list[Any], hotel: Hotel
    ) -> None:
        """Rule 13 (the fence)."""
        deliver(self.fence(trip, BookHotel.wire_name()))
        assert [message["task"] for message in sent] == [CancelHotel.wire_name()]
        assert hotel.row.action == "tombstone"

    def test_of_a_pivot_that_ran_ends_the_chain_without_an_errback(
        self, trip: ChainBuilder, sent: list[Any], hotel: Hotel
    ) -> None:
        """Rule 13 (the fence): `Ignore`: no next link, no errback; the proof is in the outbox."""
        hotel.act()
        deliver(self.fence(trip, BookHotel.wire_name()))
        assert sent == []
        assert hotel.events == ["done", PIVOT_RAN]

    def test_of_a_command_nobody_handles_here_lets_nothing_pass(
        self, trip: ChainBuilder, sent: list[Any]
    ) -> None:
        """A tombstone in the wrong service would prove nothing."""
        deliver(self.fence(trip, "payment.charge_trip"))
        assert sent == []
        assert not BarrierRow.objects.exists()


def test_a_command_has_one_handler(registered: Any) -> None:
    with pytest.raises(DefinitionError, match="two handlers"):
        handlers.register_handler(Handler(BookHotel, local=handlers.one_by_one(lambda command: None)))


@pytest.mark.django_db(transaction=True)
def test_while_the_database_is_away_the_broker_keeps_the_message(
    trip: ChainBuilder, hotel: Hotel, sent: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rule 10 (locks and retries): without a database nothing can be promised; it goes back, no errback fires."""

    def away(*_: Any, **__: Any) -> None:
        raise OperationalError("no connection")

    hotel.broken = ConnectionError("something else")
    monkeypatch.setattr(writing, "add_task", away)
    _, rejected = deliver(trip.build(Drive("hotel")))
    assert isinstance(rejected.retval, Reject)
    assert rejected.retval.requeue is True
    assert sent == []


@pytest.mark.parametrize("retries", [0, 99])
def test_a_database_that_is_away_is_no_try(
    trip: ChainBuilder, hotel: Hotel, sent: list[Any], monkeypatch: pytest.MonkeyPatch, retries: int
) -> None:
    """Rule 10 (locks and retries): not even the last one. It goes back, and no errback fires."""
    hotel.broken = OperationalError("no connection")
    monkeypatch.setattr(database_gate, "database_takes_writes", lambda: False)
    _, rejected = deliver(trip.build(Drive("hotel")), retries=retries)
    assert rejected.retval.requeue is True
    assert sent == []


@pytest.mark.parametrize("retries", [0, 99])
def test_a_lock_that_is_held_is_no_try_and_is_noted(
    trip: ChainBuilder, hotel: Hotel, sent: list[Any], retries: int
) -> None:
    """Rule 10 (locks and retries): the message is not to blame."""
    hotel.broken = OperationalError("canceling statement due to lock timeout")
    hotel.broken.__cause__ = LockNotAvailable()
    deliver(trip.build(Drive("hotel")), retries=retries)
    assert sent == []
    assert OutboxMessage.objects.get(kind="task").payload["options"]["retries"] == retries
    assert Trouble.objects.get().reason == "canceling statement due to lock timeout"


def test_a_call_that_fails_is_no_trouble_of_ours(trip: ChainBuilder, hotel: Hotel) -> None:
    """Rule 17: who does not answer outside gets no time."""
    hotel.broken = ConnectionError("away")
    deliver(trip.build(Drive("hotel")))
    assert not Trouble.objects.exists()


def test_one_that_takes_nothing_any_more_closes_the_gate(
    trip: ChainBuilder, hotel: Hotel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A standby answers queries; its refusal of a write is not an error of the connection."""

    def read_only(*_: Any, **__: Any) -> None:
        raise InternalError("cannot execute INSERT in a read-only transaction")

    hotel.broken = InternalError("cannot execute UPDATE in a read-only transaction")
    monkeypatch.setattr(writing, "add_task", read_only)
    _, rejected = deliver(trip.build(Drive("hotel")))
    assert rejected.retval.requeue is True
    assert database_gate.database_away.is_set()


@pytest.mark.parametrize("odd", ["\x00", "\ud800"])
def test_what_the_database_cannot_store_is_a_dead_letter_at_once(
    trip: ChainBuilder, hotel: Hotel, odd: str
) -> None:
    """Promising it again would fail as often as it came back."""
    hotel.broken = RuntimeError("whatever")
    message = trip.build(Drive("hotel")) | {"args": [{"earlier": {"x": odd}}]}
    _, rejected = deliver(message)
    assert rejected.retval.requeue is False
    assert not database_gate.database_away.is_set()
    assert not OutboxMessage.objects.exists()


def test_what_flower_is_shown_fits_into_a_header(trip: ChainBuilder, hotel: Hotel) -> None:
    """However long it was: one that exceeds a frame could never be sent again."""
    hotel.broken = RuntimeError("whatever")
    request = Context(
        id="1", args=[{}], kwargs=trip.build(Drive("hotel"))["kwargs"], retries=0, kwargsrepr="x" * 130_000
    )
    current_app.tasks[BookHotel.wire_name()].carry_out([request])
    assert len(OutboxMessage.objects.get(kind="task").payload["options"]["kwargsrepr"]) == LONGEST_SHOWN
