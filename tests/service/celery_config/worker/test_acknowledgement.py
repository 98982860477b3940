"""When a message is acknowledged: after its work, never before, and never one that nobody could run (rules 6, 19)."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from billiard.einfo import ExceptionInfo
from celery import Task, current_app
from celery.exceptions import Reject, WorkerLostError
from celery.worker.consumer import Consumer
from celery.worker.request import Request
from django.conf import settings
from kombu.message import Message

from celery_config.broker.incoming_headers import SUSPICIOUS
from celery_config.broker.topology import TASKS
from celery_config.messaging.tasks import Work, durable_task
from celery_config.worker.consumer import SagaConsumer

NAME, CELERYS = "messaging.do_something", "celery.backend_cleanup"


@dataclass(frozen=True)
class Nothing:
    """What the task does is of no account here."""


@pytest.fixture(scope="module")
def task() -> Iterator[Task]:
    yield durable_task(
        NAME, Work(message=Nothing, handle=lambda some: [None] * len(some), exhausted="errback")
    )
    current_app.tasks.unregister(NAME)


class Delivery:
    """One message in a worker's hands, and what became of it at the broker."""

    def __init__(self, task: Task) -> None:
        self.told: list[str] = []
        message = Message(
            body='[[], {}, {"chain": null}]',
            headers={"task": NAME, "id": "1"},
            content_type="application/json",
            content_encoding="utf-8",
        )
        self.request = Request(
            message,
            app=current_app._get_current_object(),
            task=task,
            on_ack=lambda *_: self.told.append("ack"),
            on_reject=lambda _log, _errors, requeue: self.told.append(
                "requeue" if requeue else "dead letter"
            ),
        )
        self.request.on_accepted(pid=1, time_accepted=time.monotonic())

    def ends_with(self, error: BaseException) -> list[str]:
        try:
            raise error
        except BaseException:
            self.request.on_failure(ExceptionInfo(sys.exc_info()))
        return self.told


class TestAcknowledgement:
    """Celery's own bookkeeping of a message, with the settings that our tasks run under."""

    def test_not_before_the_work_is_done(self, task: Task) -> None:
        delivery = Delivery(task)
        assert delivery.told == []
        delivery.request.on_success((False, None, 0.1))
        assert delivery.told == ["ack"]

    def test_the_broker_keeps_what_its_worker_died_on(self, task: Task) -> None:
        assert Delivery(task).ends_with(WorkerLostError("killed")) == ["requeue"]

    def test_a_failure_that_was_decided_is_done_with(self, task: Task) -> None:
        """Its errback is on its way, or its next try is in the outbox."""
        assert Delivery(task).ends_with(ValueError("no")) == ["ack"]

    @pytest.mark.parametrize(("requeue", "told"), [(True, "requeue"), (False, "dead letter")])
    def test_what_is_rejected_goes_where_it_is_told(self, task: Task, requeue: bool, told: str) -> None:
        assert Delivery(task).ends_with(Reject("away", requeue=requeue)) == [told]


class TestConsumer:
    """Our part of Celery's consumer, without a worker."""

    @pytest.fixture
    def told(self) -> list[str]:
        return []

    @pytest.fixture
    def consumer(self, told: list[str], monkeypatch: pytest.MonkeyPatch) -> SagaConsumer:
        monkeypatch.setattr(Consumer, "create_task_handler", lambda *_: lambda _: told.append("run"))
        consumer = SagaConsumer.__new__(SagaConsumer)
        consumer.connection_errors = (ConnectionError,)
        consumer.opened = set()
        consumer.acks = SimpleNamespace(note_delivery=lambda _: None)  # type: ignore[assignment]
        consumer.app = SimpleNamespace(tasks={NAME: SimpleNamespace(work=None), CELERYS: SimpleNamespace()})
        monkeypatch.setattr(consumer, "call_soon", lambda *_: told.append("open window"), raising=False)
        return consumer

    @pytest.fixture
    def receive(self, consumer: SagaConsumer) -> Callable[[Any], None]:
        return consumer.create_task_handler()

    @staticmethod
    def message(told: list[str], *, task: str = NAME, **headers: Any) -> Any:
        return SimpleNamespace(
            headers={"task": task, "id": "1", **headers},
            body="[[], {}, {}]",
            payload=[[], {}, {}],
            delivery_info={
                "redelivered": "x-delivery-count" in headers,
                "exchange": TASKS,
                "routing_key": f"{settings.SERVICE}.{task}",
            },
            reject_log_error=lambda *_: told.append("dead letter"),
        )

    def test_it_comes_back_as_fast_as_the_relay_after_a_long_outage(
        self, consumer: SagaConsumer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Celery itself would wait half a minute between two tries in the end."""
        monkeypatch.setattr(
            Consumer, "ensure_connected", lambda _, connection: connection.ensure_connection()
        )
        waits: dict[str, float] = {}
        consumer.ensure_connected(SimpleNamespace(ensure_connection=lambda **given: waits.update(given)))  # type: ignore[arg-type]
        assert waits["interval_max"] <= 5

    def test_a_message_that_came_for_the_first_time_opens_the_window(
        self, receive: Callable[[Any], None], told: list[str]
    ) -> None:
        receive(self.message(told))
        receive(self.message(told))
        assert told == ["open window", "run", "run"]

    def test_each_queue_has_a_window_of_its_own(
        self, receive: Callable[[Any], None], told: list[str]
    ) -> None:
        """Else what is urgent would open the window of new work, and a killer there take its neighbours along."""
        for tag in ("urgent", "urgent", "new"):
            message = self.message(told)
            message.delivery_info["consumer_tag"] = tag
            receive(message)
        assert told == ["open window", "run", "run", "open window", "run"]

    def test_one_that_came_back_often_runs_alone(
        self, receive: Callable[[Any], None], told: list[str]
    ) -> None:
        """Rule 19 (dead letters): somebody may have died on it."""
        receive(self.message(told, **{"x-delivery-count": SUSPICIOUS}))
        assert told == ["run"]

    def test_one_that_came_back_with_its_connection_is_not_suspected(
        self, receive: Callable[[Any], None], told: list[str]
    ) -> None:
        """One by one, what a lost connection brings back would hold the service up for minutes."""
        receive(self.message(told, **{"x-delivery-count": SUSPICIOUS - 1}))
        assert told == ["open window", "run"]

    @pytest.mark.parametrize("eta", ["2999-01-01T00:00:00+00:00", "2000-01-01T00:00:00Z"])
    def test_none_is_held_until_its_time(
        self, receive: Callable[[Any], None], told: list[str], eta: str
    ) -> None:
        """Rule 10 (locks and retries): in the window, or in our database, for as long as its sender likes."""
        receive(self.message(told, eta=eta))
        assert told == ["dead letter"]

    @pytest.mark.parametrize(
        "headers",
        [
            {"timelimit": 5},
            {"timelimit": "abc"},
            {"timelimit": [1, 2, 3]},
            {"shadow": {"a": 1}},
            {"stamped_headers": 5},
            {"eta": "tomorrow"},
            {"expires": ["now"]},
            {"expires": "2020-01-01T00:00:00Z"},
            {"timelimit": [0.001, None]},
            {"refused": "by its properties"},
            {"retries": -1},
            {"retries": "1e1"},
            {"x-delivery-count": "often"},
            {"x-delivery-count": "3.0"},
            {"x-delivery-count": 3.0},
            {"x-delivery-count": True},
            {"root_id": 7},
        ],
    )
    def test_headers_that_celery_would_stumble_over(
        self, receive: Callable[[Any], None], told: list[str], headers: dict[str, Any]
    ) -> None:
        """Rule 19 (dead letters): no message ends a worker."""
        receive(self.message(told, **headers))
        assert told == ["dead letter"]

    def test_one_that_nobody_could_run_is_neither_run_nor_acknowledged(
        self, receive: Callable[[Any], None], told: list[str]
    ) -> None:
        receive(self.message(told, task="no.such"))
        assert told == ["dead letter"]

    def test_a_task_of_celerys_own_is_not_ours(self, receive: Callable[[Any], None], told: list[str]) -> None:
        receive(self.message(told, task=CELERYS))
        assert told == ["dead letter"]

    @pytest.mark.parametrize("error", [RecursionError, MemoryError, TypeError])
    def test_one_that_celery_cannot_receive_ends_no_worker(
        self, consumer: SagaConsumer, told: list[str], monkeypatch: pytest.MonkeyPatch, error: type[Exception]
    ) -> None:
        def fails(_: Any) -> None:
            raise error

        monkeypatch.setattr(Consumer, "create_task_handler", lambda *_: fails)
        consumer.create_task_handler()(self.message(told))
        assert told == ["open window", "dead letter"]

    def test_a_lost_connection_is_celerys_to_mend(
        self, consumer: SagaConsumer, told: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def lost(_: Any) -> None:
            raise ConnectionResetError

        monkeypatch.setattr(Consumer, "create_task_handler", lambda *_: lost)
        with pytest.raises(ConnectionResetError):
            consumer.create_task_handler()(self.message(told))

    @pytest.mark.parametrize(("tag", "then"), [("work", ["dead letter"]), ("remote control", [])])
    def test_one_that_kombu_cannot_read_is_not_acknowledged_away(
        self, consumer: SagaConsumer, told: list[str], tag: str, then: list[str]
    ) -> None:
        """Remote control's messages need no acknowledgement, and allow none."""
        message = self.message(told)
        message.channel = SimpleNamespace(no_ack_consumers={"remote control"})
        message.delivery_info["consumer_tag"] = tag
        consumer.on_decode_error(message, ValueError())
        assert told == then
