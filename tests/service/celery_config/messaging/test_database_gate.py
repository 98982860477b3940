"""While its own database is away a worker takes no messages (rule 10, locks and retries)."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from amqp.exceptions import ResourceLocked
from celery import Celery
from celery.worker import pidbox, state
from django.db import InterfaceError, OperationalError, ProgrammingError, connection, transaction

from celery_config.broker.validation import find_fault
from celery_config.db import writes
from celery_config.messaging import database_gate, trouble, under_way
from celery_config.messaging.models import InboxEntry, OutboxMessage
from celery_config.worker.bootsteps import DatabaseGate, ReadingControl
from tests.service.together import postgresql


@pytest.fixture(autouse=True)
def _gate() -> Iterator[None]:
    database_gate.database_away.clear()
    yield
    database_gate.database_away.clear()


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The database's server cannot be reached."""

    def refuse() -> None:
        raise OperationalError("connection refused")

    connection.close()
    with monkeypatch.context() as patched:
        patched.setattr(connection, "connect", refuse)
        patched.setattr(connection, "ensure_connection", refuse)
        yield


@pytest.mark.django_db(transaction=True)
class TestClosing:
    @pytest.mark.parametrize("error", [OperationalError("gone"), InterfaceError("closed")])
    def test_a_lost_database_closes_the_gate(self, away: None, error: Exception) -> None:
        database_gate.close_if_away(error)
        assert database_gate.database_away.is_set()

    @pytest.mark.parametrize(
        "error", [OperationalError("deadlock detected"), OperationalError("lock timeout")]
    )
    def test_an_error_of_a_database_that_answers_does_not(self, error: Exception) -> None:
        database_gate.close_if_away(error)
        assert not database_gate.database_away.is_set()

    def test_another_error_does_not_even_ask(self, away: None) -> None:
        database_gate.close_if_away(ValueError("ours"))
        assert not database_gate.database_away.is_set()

    @postgresql
    def test_a_transaction_that_neither_ended_nor_failed_is_dropped(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Else whatever this thread writes afterwards would seem committed, and never be."""

        def interrupted() -> None:
            raise KeyError("not a database's error")

        def write(handler: str) -> None:
            with transaction.atomic():
                InboxEntry.objects.create(event=uuid4(), handler=handler)

        with monkeypatch.context() as patched:
            patched.setattr(connection, "_commit", interrupted)
            with pytest.raises(ProgrammingError):
                write("lost")
        database_gate.close_if_away(KeyError("not a database's error"))
        write("kept")
        connection.close()
        assert [entry.handler for entry in InboxEntry.objects.all()] == ["kept"]

    @postgresql
    def test_a_broken_connection_is_dropped(self) -> None:
        """Else the thread's next task would meet it again."""
        assert database_gate.database_takes_writes()
        connection.connection.close()
        assert not database_gate.database_takes_writes()
        assert database_gate.database_takes_writes()

    @postgresql
    def test_one_that_only_answers_is_away(self) -> None:
        """A standby after a failover, a database whose disk is full."""
        with connection.cursor() as cursor:
            cursor.execute("SET default_transaction_read_only = on")
        database_gate.close_if_away(OperationalError("no more room"))
        assert database_gate.database_away.is_set()
        assert database_gate.database_takes_writes()  # on a connection of its own

    @postgresql
    def test_its_own_error_is_one_of_an_absent_database(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Else a batch would go to the dead letters, and the watchdog would park what it cannot write."""
        read_only = f"{connection.settings_dict['OPTIONS']['options']} -c default_transaction_read_only=on"
        with monkeypatch.context() as patched:
            patched.setitem(connection.settings_dict["OPTIONS"], "options", read_only)
            connection.close()
            with pytest.raises(OperationalError) as refused:
                InboxEntry.objects.create(event=uuid4(), handler="refused")
            assert writes.is_refusal(refused.value)
            assert writes.find_refusal().startswith("takes no writes")
            database_gate.close_if_away(refused.value)
            connection.close()
        assert database_gate.database_away.is_set()

    def test_nothing_stays_of_the_question(self) -> None:
        assert database_gate.database_takes_writes()
        assert not OutboxMessage.objects.exists()


class TestConsumer:
    """The worker's part, without a worker."""

    @pytest.fixture
    def consumer(self) -> Any:
        told: list[str] = []
        tasks = SimpleNamespace(cancel=lambda: told.append("cancel"), consume=lambda: told.append("consume"))
        timer = SimpleNamespace(call_repeatedly=lambda *_: SimpleNamespace(cancel=lambda: None))
        runner = SimpleNamespace(wake=lambda: told.append("wake the runner"))
        return SimpleNamespace(
            task_consumer=tasks, timer=timer, told=told, runner=runner, consume_slowly=tasks.consume
        )

    def test_it_stops_consuming_and_begins_again(
        self, consumer: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        answers = False
        monkeypatch.setattr(database_gate, "database_takes_writes", lambda: answers)
        step = DatabaseGate(None)
        step.start(consumer)
        step.check(consumer)
        assert consumer.told == []
        database_gate.database_away.set()
        step.check(consumer)
        step.check(consumer)
        assert consumer.told == ["cancel", "wake the runner"]
        answers = True
        step.check(consumer)
        step.check(consumer)
        assert consumer.told == ["cancel", "wake the runner", "consume"]
        assert not database_gate.database_away.is_set()

    @pytest.mark.django_db
    def test_a_handler_that_does_not_end_closes_it_and_a_call_outside_does_not(
        self, consumer: Any, monkeypatch: pytest.MonkeyPatch, settings: Any
    ) -> None:
        """Its database hangs, say. Other messages wait for it, and without a consumer saga time stands."""
        settings.STATEMENT_SECONDS = 0.0
        monkeypatch.setattr(database_gate, "database_takes_writes", lambda: True)
        step = DatabaseGate(None)
        step.start(consumer)
        with under_way.noted("hotel.book", [], is_call=True):
            step.check(consumer)
            assert consumer.told == []
        with under_way.noted("hotel.book", []):
            step.check(consumer)
            step.check(consumer)
            assert consumer.told == ["cancel", "wake the runner"]
        step.check(consumer)
        assert consumer.told == ["cancel", "wake the runner", "consume"]

    @pytest.mark.django_db
    def test_a_handler_that_does_not_end_is_told_before_the_broker_is_asked(
        self, consumer: Any, monkeypatch: pytest.MonkeyPatch, settings: Any
    ) -> None:
        """The pages say so, whatever becomes of the consumer."""
        settings.STATEMENT_SECONDS = 0.0
        step = DatabaseGate(None)
        step.start(consumer)

        def hang() -> None:
            assert trouble.check_messages().endswith("its worker takes no more messages: hotel.book")
            raise TimeoutError

        monkeypatch.setattr(consumer.task_consumer, "cancel", hang)
        with under_way.noted("hotel.book", []), pytest.raises(TimeoutError):
            step.check(consumer)


class TestRemoteControl:
    """Its queue may belong to a connection that is dead while the broker does not know it."""

    def test_it_waits_for_its_queue(self, monkeypatch: pytest.MonkeyPatch) -> None:
        told: list[str] = []
        free = False

        def start(consumer: Any) -> None:
            if not free:
                raise ResourceLocked("RESOURCE_LOCKED")
            told.append("listens")

        later: list[Any] = []
        entry = SimpleNamespace(cancel=lambda: told.append("waits no more"))
        timer = SimpleNamespace(call_after=lambda _, call, args: later.append((call, args)) or entry)
        consumer = SimpleNamespace(timer=timer)
        box = SimpleNamespace(
            start=start, stop=lambda _: told.append("stop"), shutdown=None, node=SimpleNamespace()
        )
        monkeypatch.setattr(pidbox, "Pidbox", lambda _: box)
        step = ReadingControl(SimpleNamespace(pool=None))
        step.start(consumer)
        ((again, args),) = later
        assert told == []
        free = True
        again(*args)
        step.stop(consumer)
        assert told == ["listens", "waits no more", "stop"]

    def test_it_tells_and_changes_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A rate limit held 57 messages, and every check said that all was well."""
        app = Celery("x", broker="memory://", set_as_current=False, fixups=[])
        app.tasks["x.do"] = SimpleNamespace(rate_limit=None)
        consumer = SimpleNamespace(
            app=app, hostname="x@host", pool=None, controller=SimpleNamespace(use_eventloop=True),
            reset_rate_limits=lambda: None,
        )  # fmt: skip
        node = ReadingControl(consumer).box.node
        assert node.dispatch("ping") == {"ok": "pong"}
        for command, arguments in (
            ("rate_limit", {"task_name": "x.do", "rate_limit": "1/h"}),
            ("revoke", {"task_id": "1"}),
            ("hello", {"from_node": "y", "revoked": {"1": 1.0}}),
            ("shutdown", {}),
            # They told the tokens of all services.
            ("conf", {"with_defaults": True}),
            ("report", {}),
        ):
            assert node.dispatch(command, arguments) == {"error": f"KeyError('{command}')"}
        assert app.tasks["x.do"].rate_limit is None
        assert "1" not in state.revoked
        request = SimpleNamespace(info=lambda safe: "no arguments" if safe else "a payment token")
        monkeypatch.setattr(state, "active_requests", [request])
        assert node.dispatch("active", {"safe": False}) == ["no arguments"]


GOOD = {"headers": {"task": "x.do", "id": "1"}, "payload": [[], {}, {}], "body": b"", "delivery_info": {}}


@pytest.mark.parametrize(
    ("broken", "fault"),
    [
        ({}, None),
        ({"payload": ([{}], {"a": 1}, None)}, None),
        ({"headers": {}}, "headers “task” and “id” are missing"),
        ({"headers": {"task": "x.do"}}, "headers “task” and “id” are missing"),
        ({"headers": {"task": "x.typo", "id": "1"}}, "unknown task"),
        ({"payload": [[], {}]}, "malformed body"),
        ({"payload": {"not": "a task"}}, "malformed body"),
        ({"payload": ["args", {}, {}]}, "malformed body"),
    ],
)
def test_what_no_worker_could_run_is_found_before_it_is_acknowledged(broken: Any, fault: str | None) -> None:
    """Rule 19 (dead letters): Celery by itself would lose it, or die."""
    found = find_fault(SimpleNamespace(**GOOD | broken), {"x.do"})  # type: ignore[arg-type]
    assert (fault in found) if fault and found else found is fault
