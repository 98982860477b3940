"""Many messages at a time: each has the outcome that it would have had alone."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest
from celery import current_app
from celery.app.task import Context
from celery.app.trace import build_tracer
from celery.exceptions import Ignore
from celery.worker.request import Request
from django.contrib.auth.models import Group
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from kombu.message import Message

from celery_config.broker.incoming_headers import SUSPICIOUS
from celery_config.common import tracing
from celery_config.contracts.base import encode
from celery_config.errors import Refused, StepSuperseded
from celery_config.messaging import database_gate
from celery_config.messaging.barrier.steps import Handler
from celery_config.messaging.deliveries import Call, Delivery
from celery_config.messaging.models import BarrierRow, OutboxMessage
from celery_config.messaging.tasks import DurableTask
from celery_config.participant import handlers
from celery_config.saga.engine.chains import ChainBuilder
from celery_config.saga.engine.machine import Drive
from celery_config.saga.engine.plan import Operation, PlannedLink
from celery_config.worker import batches as module
from celery_config.worker import continuations, message_spans
from celery_config.worker.batches import BatchRunner, OutsideCall
from tests.service.celery_config.conftest import Bank
from tests.service.shipped import read_made
from tests.trip import BookHotel, CancelHotel, ChargeTrip, HotelBooked, Trip, TripData

pytestmark = pytest.mark.django_db
FULL, BROKEN = 99, 13


def book(commands: Sequence[BookHotel]) -> list[HotelBooked | Refused]:
    """A set-based handler: refuses before it writes, and cannot bear thirteen nights."""
    if any(command.nights == BROKEN for command in commands):
        raise ConnectionError("thirteen nights")
    fits = [command for command in commands if command.nights != FULL]
    Group.objects.bulk_create(Group(name=str(command.trip)) for command in fits)
    full = Refused("hotel_full", "no room left")
    return [HotelBooked(booking=command.trip) if command in fits else full for command in commands]


def cancel(commands: Sequence[CancelHotel]) -> list[None]:
    Group.objects.filter(name__in=[str(command.trip) for command in commands]).delete()
    return [None for _ in commands]


@pytest.fixture(scope="module")
def tasks() -> Iterator[dict[str, DurableTask]]:
    made = {
        handler.command.wire_name(): handlers.register_handler(handler)
        for handler in (Handler(BookHotel, local=book), Handler(CancelHotel, local=cancel))
    }
    yield made
    for name in made:
        del handlers.registry[name]
        current_app.tasks.unregister(name)


def delivered(
    task: DurableTask,
    told: list[str],
    *,
    exchange: str = "",
    embed: dict[str, Any] | None = None,
    **headers: Any,
) -> Request:
    """A message that the broker has brought; `told` is told what it hears of it."""
    made = context()
    if embed is None:
        embed = {"chain": made.chain, "errbacks": made.errbacks}
    message = Message(
        body=json.dumps([made.args, made.kwargs, embed]),
        headers={"task": task.name, "id": made.id, "root_id": "root", **headers},
        content_type="application/json",
        content_encoding="utf-8",
        delivery_info={"exchange": exchange},
    )
    return Request(
        message,
        app=current_app._get_current_object(),
        task=task,
        on_ack=lambda *_: told.append("ack"),
        on_reject=lambda _log, _errors, requeue: told.append("requeue" if requeue else "dead letter"),
    )


def context(nights: int = 2, *, saga: UUID | None = None, operation: str = "do") -> Context:
    """A message as the worker hands it on."""
    chains = ChainBuilder(Trip, saga or uuid4(), encode(TripData(trip=uuid4(), nights=nights)), attempt=0)
    if operation == "do":
        message = chains.build(Drive("hotel"))
    else:
        link = chains.build_link(PlannedLink(Operation.UNDO, "hotel"))
        message = {**link, "args": [{}], "options": {**link["options"], "chain": []}}
    options = message["options"]
    return Context(
        id=options["task_id"],
        args=message["args"],
        kwargs=message["kwargs"],
        chain=options["chain"],
        errbacks=options["link_error"],
        root_id="root",
        headers={},
    )


def raising(error: BaseException) -> Callable[..., Any]:
    def fails(*_: Any) -> None:
        raise error

    return fails


def outcomes(task: DurableTask, *requests: Context) -> list[Any]:
    ended = {id(delivery.request): outcome for delivery, outcome in task.carry_out(requests)}
    return [ended[id(request)] for request in requests]


class TestSteps:
    @pytest.fixture
    def hotel(self, tasks: dict[str, DurableTask]) -> DurableTask:
        return tasks[BookHotel.wire_name()]

    @pytest.fixture
    def undo(self, tasks: dict[str, DurableTask]) -> DurableTask:
        return tasks[CancelHotel.wire_name()]

    def test_each_has_its_own_outcome(self, hotel: DurableTask) -> None:
        first, full, last = outcomes(hotel, context(), context(FULL), context())
        assert (set(first), set(last)) == ({"hotel"}, {"hotel"})
        assert isinstance(full, Refused)
        assert read_made().count() == 2
        assert sorted(BarrierRow.objects.values_list("action", flat=True)) == ["done", "done", "refused"]
        assert OutboxMessage.objects.filter(kind="event").count() == 3

    def test_statements_do_not_grow_with_the_batch(self, hotel: DurableTask) -> None:
        outcomes(hotel, context())  # the process reads the database's epoch once
        with CaptureQueriesContext(connection) as few:
            outcomes(hotel, *(context() for _ in range(2)))
        with CaptureQueriesContext(connection) as many:
            outcomes(hotel, *(context() for _ in range(40)))
        assert len(many) == len(few)

    def test_twins_in_one_batch_run_one_after_the_other(self, hotel: DurableTask) -> None:
        """Rule 5 (the barrier): the second is answered from the barrier."""
        request = context()
        first, twin, other = outcomes(hotel, request, Context(vars(request)), context())
        assert first == twin != other
        assert read_made().count() == 2

    def test_a_repeat_among_new_ones_is_answered_from_the_barrier(self, hotel: DurableTask) -> None:
        request = context()
        (before,) = outcomes(hotel, request)
        assert outcomes(hotel, context(), request)[1] == before
        assert read_made().count() == 2

    def test_one_that_fails_spoils_no_other(self, hotel: DurableTask) -> None:
        """Rule 10 (transient errors): it is tried again from the outbox; the others are done."""
        good, bad, also_good = outcomes(hotel, context(), context(BROKEN), context())
        assert isinstance(bad, Ignore)
        assert {"hotel"} == set(good) == set(also_good)
        assert read_made().count() == 2
        assert OutboxMessage.objects.get(kind="task").payload["options"]["retries"] == 1

    def test_one_that_nobody_understands_spoils_no_other(self, hotel: DurableTask) -> None:
        broken = context()
        broken.kwargs = {"saga": "no id"}
        good, bad = outcomes(hotel, context(), broken)
        assert set(good) == {"hotel"}
        assert (type(bad).__name__, bad.requeue) == ("Reject", False)

    def test_undos_and_tombstones_in_one_batch(self, hotel: DurableTask, undo: DurableTask) -> None:
        """Rule 7."""
        done, never, refused = uuid4(), uuid4(), uuid4()
        outcomes(hotel, context(saga=done), context(FULL, saga=refused))
        Group.objects.all().delete()  # the undo is another trip's command: what it deletes is of no account here
        told = outcomes(undo, *(context(saga=saga, operation="undo") for saga in (done, never, refused)))
        assert told == [{}, {}, {"hotel": {"code": "hotel_full", "reason": "no room left"}}]
        assert set(BarrierRow.objects.values_list("undo", flat=True)) == {"done"}
        (late,) = outcomes(hotel, context(saga=never))
        assert isinstance(late, StepSuperseded)


@pytest.mark.django_db(transaction=True)
def test_a_batch_of_calls_is_settled_together(bank: Bank) -> None:
    """Rule 8 (effects outside): intents first, then the calls, then their answers; an unknown one is tried later."""
    banks = [bank, Bank(), Bank()]
    for other in banks[1:]:
        other.provider = bank.provider
    handler = handlers.register_handler(Handler(ChargeTrip, outside=bank.charge))
    task = current_app.tasks[handler.name]
    try:
        requests = [
            Context(
                id=str(uuid4()),
                args=[{}],
                kwargs={
                    "saga": str(each.saga),
                    "step": "charge",
                    "operation": "do",
                    "attempt": 0,
                    "command": {"trip": str(each.trip), "booking": str(each.trip)},
                },
                headers={},
            )
            for each in banks
        ]
        waiting = task.carry_out(requests)
        assert all(isinstance(call, Call) for _, call in waiting)
        assert set(BarrierRow.objects.values_list("action", flat=True)) == {"intent"}
        answered = [(delivery, call, call.answer()) for delivery, call in waiting]
        with CaptureQueriesContext(connection) as queries:
            ended = task.finish_calls(answered)
        assert [set(outcome) for _, outcome in ended] == [{"charge"}] * 3
        assert sum("FOR UPDATE" in query["sql"] for query in queries) <= 1
        assert set(BarrierRow.objects.values_list("action", flat=True)) == {"done"}
    finally:
        del handlers.registry[ChargeTrip.wire_name()]
        current_app.tasks.unregister(handler.name)


@pytest.mark.parametrize("nights", [2, FULL])
def test_what_follows_is_what_celery_would_send(
    tasks: dict[str, DurableTask], sent: list[dict[str, Any]], nights: int
) -> None:
    """A plain worker may take over at any link, and ours from a plain one."""
    task, request = tasks[BookHotel.wire_name()], context(nights)
    build_tracer(task.name, task, app=current_app._get_current_object())(
        request.id, request.args, request.kwargs, {**vars(request), "delivery_info": {}, "is_eager": False}
    )
    (theirs,) = sent
    (outcome,) = outcomes(task, request)
    (ours,) = continuations.next_messages(task.name, request, outcome)
    for name in ("task", "args", "kwargs"):
        assert json.loads(json.dumps(ours[name])) == json.loads(json.dumps(theirs[name])), name
    for name in ("task_id", "exchange", "routing_key", "mandatory", "link_error", "parent_id", "root_id"):
        assert ours["options"].get(name) == theirs["options"].get(name), name
    assert (ours["options"].get("chain") or []) == (theirs["options"].get("chain") or [])


FORGED = [{"task": "events.receive", "args": [], "kwargs": {}, "options": {"exchange": "events"}}]
UNCHECKED = {
    "chain": FORGED,
    "errbacks": FORGED,
    "callbacks": FORGED,
    "delivery_info": {"exchange": "urgent-tasks", "redelivered": True},
    "hostname": "another",
    "not_before": "2999-01-01T00:00:00+00:00",
    "received": "another",
    "args": [{"more": 1}],
    "kwargs": {"saga": "another"},
}


@pytest.mark.parametrize("name", UNCHECKED)
def test_no_header_stands_for_what_is_checked(tasks: dict[str, DurableTask], name: str) -> None:
    """A chain among the headers was published with the receiver's rights: any event in its name."""
    hotel = tasks[BookHotel.wire_name()]
    request = delivered(hotel, [], embed={}, **{name: UNCHECKED[name]})
    made = module.make_context(request)
    assert made.get(name) != UNCHECKED[name]
    for outcome in ({}, ValueError("no")):
        assert continuations.next_messages(hotel.name, made, outcome) == []


@pytest.mark.parametrize("name", [*UNCHECKED, "id", "root_id", "parent_id", "retries", "argsrepr"])
def test_nothing_embedded_stands_for_what_is_checked(tasks: dict[str, DurableTask], name: str) -> None:
    if name in ("chain", "errbacks"):  # these are checked there
        return
    hotel, value = tasks[BookHotel.wire_name()], UNCHECKED.get(name, "x" * 300)
    assert module.make_context(delivered(hotel, [], embed={name: value})).get(name) != value


@pytest.mark.parametrize("events", [5, "x", {"type": 5}, [5], [{"type": 5}], None], ids=str)
def test_a_span_takes_whatever_stands_for_events(monkeypatch: pytest.MonkeyPatch, events: Any) -> None:
    begun: list[str] = []
    spans = SimpleNamespace(start_span=lambda name, *_: begun.append(name))
    monkeypatch.setattr(tracing, "_spans", spans)
    message = SimpleNamespace(payload=([], {"events": events}, None))
    made: Any = SimpleNamespace(message=message, task=SimpleNamespace(name="a task"), request_dict={})
    message_spans.start_message_span(made)
    assert begun == ["a task"]


class Waits(threading.Condition):
    """A condition that tells when somebody waits for it."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = threading.Event()

    def wait(self, timeout: float | None = None) -> bool:
        self.begun.set()
        return super().wait(timeout)


class TestRunner:
    """The worker's side, without a worker."""

    @pytest.fixture
    def told(self) -> list[str]:
        return []

    @pytest.fixture
    def runner(self, monkeypatch: pytest.MonkeyPatch) -> BatchRunner:
        app = current_app._get_current_object()
        monkeypatch.setattr(module, "PUBLISH_WAITS", (0.0,))
        runner = BatchRunner(SimpleNamespace(app=app, pool=None))
        runner.publisher = SimpleNamespace(publish=lambda messages: set(range(len(messages))))  # type: ignore[assignment]
        return runner

    @pytest.fixture
    def hotel(self, tasks: dict[str, DurableTask]) -> DurableTask:
        return tasks[BookHotel.wire_name()]

    def test_all_that_waits_is_one_batch(
        self, runner: BatchRunner, told: list[str], hotel: DurableTask
    ) -> None:
        for _ in range(3):
            runner.add(delivered(hotel, told))
        taken = runner.take_batch()
        assert len(taken) == 3
        runner.conclude(module.carry_out(taken))
        assert told == ["ack"] * 3

    def test_what_is_urgent_comes_first(
        self, runner: BatchRunner, told: list[str], hotel: DurableTask, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Rule 28 (routing): also before what was taken from the broker long before it."""
        monkeypatch.setattr(module, "MAX_MESSAGES", 3)
        late, later = [delivered(hotel, told, exchange="urgent-tasks") for _ in range(2)]
        new = [delivered(hotel, told, exchange="tasks") for _ in range(3)]
        for request in (*new, late, later):
            runner.add(request)
        assert runner.take_batch() == [late, later, new[0]]
        assert runner.take_batch() == new[1:]

    def test_an_urgent_call_does_not_wait_for_a_caller(
        self, runner: BatchRunner, told: list[str], hotel: DurableTask
    ) -> None:
        """Rule 28: all callers of new work may be busy."""
        go, asked = threading.Event(), threading.Event()

        def call(exchange: str, answer: Callable[[], Any]) -> tuple[Delivery[Any], Call]:
            request = SimpleNamespace(received=delivered(hotel, told, exchange=exchange))
            return Delivery(request, None), Call(answer, finish=lambda answered: [None])

        slow = [call("tasks", lambda: go.wait(20)) for _ in range(module.MAX_CALLS)]
        try:
            runner.conclude([*slow, call("urgent-tasks", asked.set)])
            assert asked.wait(5)
            (first,) = runner.take_batch()
            assert module.is_urgent(first)
        finally:
            go.set()
            runner.stop_callers()

    def test_what_came_back_often_runs_alone(
        self, runner: BatchRunner, told: list[str], hotel: DurableTask
    ) -> None:
        """Rule 19 (dead letters): it may be what killed a worker."""
        for count in (0, 1, SUSPICIOUS, SUSPICIOUS, 0):
            runner.add(delivered(hotel, told, **{"x-delivery-count": count}))
        sizes = []
        while runner.inbox:
            sizes.append(len(runner.take_batch()))
        assert sizes == [2, 1, 1, 1]

    def test_one_that_nobody_foresaw_spoils_no_other(
        self, runner: BatchRunner, told: list[str], hotel: DurableTask
    ) -> None:
        """Given back it would come again at once, twenty times, and spoil a batch each time."""
        odd, fine = delivered(hotel, told), delivered(hotel, told)
        odd.on_accepted = lambda *_: 1 / 0
        runner.run_batch([odd, fine])
        assert told == ["dead letter", "ack"]

    def test_one_of_which_no_span_can_begin_ends_no_worker(
        self, runner: BatchRunner, told: list[str], hotel: DurableTask, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tracing, "_spans", SimpleNamespace())
        monkeypatch.setattr(message_spans, "start_message_span", raising(TypeError("no span")))
        runner.run_batch([delivered(hotel, told)])
        assert told == ["dead letter"]

    def test_one_that_failed_because_the_database_was_away_goes_back(
        self, runner: BatchRunner, told: list[str], hotel: DurableTask
    ) -> None:
        unlucky = delivered(hotel, told)
        unlucky.on_accepted = raising(OperationalError())
        runner.run_batch([unlucky])
        assert told == ["requeue"]

    @pytest.mark.parametrize("exit", [SystemExit(0), KeyboardInterrupt(), GeneratorExit()])
    def test_a_handler_that_exits_leaves_a_worker_that_works(
        self,
        runner: BatchRunner,
        told: list[str],
        hotel: DurableTask,
        exit: BaseException,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(module, "end_process", lambda: told.append("the worker ends"))
        bad = delivered(hotel, told)
        bad.on_accepted = raising(exit)
        runner.add(bad)
        runner.add(delivered(hotel, told))
        runner.stopping = True  # after these
        runner.publisher.close = lambda: None  # type: ignore[method-assign]
        runner.run()
        assert told == ["dead letter", "ack"]

    def test_a_handler_that_exits_has_its_tries(
        self, runner: BatchRunner, told: list[str], hotel: DurableTask, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Like any other error; the others of its batch are done."""
        odd, fine = delivered(hotel, told), delivered(hotel, told)
        handle = hotel.work.handle

        def exits(deliveries: Sequence[Delivery[Any]]) -> list[Any]:
            if any(each.request.id == odd.id for each in deliveries):
                raise SystemExit(1)
            return handle(deliveries)

        monkeypatch.setattr(hotel, "work", replace(hotel.work, handle=exits))
        runner.run_batch([odd, fine])
        assert told == ["ack", "ack"]
        (again,) = OutboxMessage.objects.filter(kind="task")
        assert again.payload["options"]["task_id"] == odd.id

    def test_a_call_that_exits_is_answered(
        self, runner: BatchRunner, told: list[str], hotel: DurableTask
    ) -> None:
        """It was waited for without end, and its message held."""
        runner.calls = 1
        delivery = hotel.decode_delivery(module.make_context(delivered(hotel, told)))
        call = Call(raising(SystemExit(1)), lambda _: [])
        module.make_call(runner, OutsideCall(delivery, call))
        runner.conclude(module.carry_out(runner.take_batch()))
        assert (runner.calls, told) == (0, ["ack"])
        assert OutboxMessage.objects.get(kind="task").payload["options"]["retries"] == 1

    def test_a_worker_whose_batches_ended_ends(
        self, runner: BatchRunner, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It would consume and do nothing."""
        ended: list[str] = []
        monkeypatch.setattr(module, "end_process", lambda: ended.append("the process"))
        monkeypatch.setattr(runner, "take_batch", raising(SystemExit(0)))
        runner.run()
        assert ended == ["the process"]

    def test_what_the_broker_did_not_take_the_relay_sends_later(
        self, runner: BatchRunner, told: list[str], hotel: DurableTask
    ) -> None:
        """Given back, the message would come again at once, and use up its deliveries."""
        runner.publisher.publish = lambda messages: {1}  # type: ignore[method-assign,assignment]
        requests = [delivered(hotel, told) for _ in range(2)]
        runner.conclude(module.carry_out(requests))
        assert told == ["ack", "ack"]
        (promised,) = OutboxMessage.objects.filter(kind="task")
        assert promised.payload["options"]["parent_id"] == requests[0].id
        assert "sender" not in promised.payload
        assert str(promised.saga) == promised.payload["kwargs"]["saga"]

    def test_what_cannot_be_stored_spoils_no_other(
        self, runner: BatchRunner, told: list[str], hotel: DurableTask
    ) -> None:
        runner.publisher.publish = lambda messages: set()  # type: ignore[method-assign,assignment]
        requests = [delivered(hotel, told) for _ in range(3)]
        deep: Any = None
        for _ in range(2_000):
            deep = [deep]
        requests[1].message.payload[2]["chain"][-1]["kwargs"]["deep"] = deep
        runner.conclude(module.carry_out(requests))
        assert told == ["ack", "dead letter", "ack"]
        assert OutboxMessage.objects.filter(kind="task").count() == 2

    def test_what_neither_broker_nor_database_take_is_not_acknowledged(
        self, runner: BatchRunner, told: list[str], hotel: DurableTask, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fails(*_: Any) -> None:
            raise OperationalError("the disk is full")

        runner.publisher.publish = lambda messages: {1}  # type: ignore[method-assign,assignment]
        ended = module.carry_out([delivered(hotel, told) for _ in range(2)])
        monkeypatch.setattr(module.writing, "add_tasks", fails)
        monkeypatch.setattr(database_gate, "close_if_away", lambda error: None)
        runner.conclude(ended)
        assert told == ["requeue", "ack"]

    def test_nothing_is_acknowledged_while_nothing_can_be_published(
        self, runner: BatchRunner, told: list[str], hotel: DurableTask
    ) -> None:
        def lost(messages: Any) -> set[int]:
            raise ConnectionResetError

        runner.publisher.publish = lost  # type: ignore[method-assign,assignment]
        runner.add(delivered(hotel, told))
        runner.add(delivered(hotel, told))
        runner.stopping = True
        runner.publisher.close = lambda: None  # type: ignore[method-assign]
        runner.run()
        assert told == ["requeue", "requeue"]
        assert set(BarrierRow.objects.values_list("action", flat=True)) == {"done"}

    def test_while_the_database_is_away_it_gives_back_when_nothing_is_consumed_any_more(
        self, runner: BatchRunner, told: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Rule 10 (transient errors): it would come again at once, and again, until its delivery limit is used up."""
        monkeypatch.setattr(database_gate, "database_away", threading.Event())
        monkeypatch.setattr(database_gate, "consumption_paused", threading.Event())
        waits = Waits()
        monkeypatch.setattr(runner, "arrived", waits)
        database_gate.database_away.set()
        thread = threading.Thread(target=lambda: (runner.wait_for_gate(), told.append("gives back")))
        thread.start()
        assert waits.begun.wait(5.0)
        assert told == []
        database_gate.consumption_paused.set()
        runner.wake()
        thread.join(5.0)
        assert told == ["gives back"]

    @pytest.mark.parametrize("finish_calls", [True, False])
    def test_an_answer_after_the_stop(self, runner: BatchRunner, finish_calls: bool) -> None:
        """It is waited for when the worker stops, and dropped when the connection was lost."""
        runner.calls = 1
        runner.thread = SimpleNamespace(join=lambda: None)  # type: ignore[assignment]
        runner.stop(finish_calls=finish_calls)
        assert runner.is_finished() is not finish_calls
        message = SimpleNamespace(delivery_info={})
        request = SimpleNamespace(received=SimpleNamespace(message=message))
        answer = OutsideCall(SimpleNamespace(request=request), SimpleNamespace())  # type: ignore[arg-type]
        runner.add_answer(answer)
        assert runner.is_finished()
        assert runner.take_batch() == ([answer] if finish_calls else [])
        assert runner.take_batch() == []

    def test_stopping_gives_back_what_was_not_begun(
        self, runner: BatchRunner, told: list[str], hotel: DurableTask
    ) -> None:
        runner.add(delivered(hotel, told))
        runner.start = lambda: None  # type: ignore[method-assign]
        runner.thread = SimpleNamespace(join=lambda: None)  # type: ignore[assignment]
        runner.stop(finish_calls=True)
        assert runner.take_batch() == []
        assert told == []


def test_task_events_carry_the_code_of_an_error_and_no_text_of_a_provider() -> None:
    assert module.describe(Refused("address_unreachable", "we do not go to Rothera")) == (
        "Refused: address_unreachable"
    )
    assert module.describe(ValueError("ours")) == "ValueError('ours')"
