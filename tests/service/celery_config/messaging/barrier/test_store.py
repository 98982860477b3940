"""The barrier's one statement, with real twins on real connections (rule 5, the barrier)."""

from __future__ import annotations

import threading
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import OperationalError, connection, transaction

from celery_config.contracts.base import command_id
from celery_config.db import bulk
from celery_config.messaging.barrier import store
from celery_config.messaging.barrier.decisions import Row
from celery_config.messaging.models import BarrierRow
from celery_config.messaging.states import Action, Undo
from tests.service.together import concurrent, in_background, postgresql, together, until_waiting_for_a_lock

pytestmark = pytest.mark.django_db


def claim(saga: UUID, action: Action = Action.DONE) -> bool:
    row = store.NewRow(
        command_id(saga, "hotel", "do"), saga, "hotel", "inventory.book_hotel",
        command_hash="h", action=action, request={"n": [1]},
    )  # fmt: skip
    with transaction.atomic():
        return not store.claim_rows([row])


def write(saga: UUID, **fields: Any) -> None:
    with transaction.atomic():
        (row,) = store.lock_rows([command_id(saga, "hotel", "do")]).values()
        for name, value in fields.items():
            setattr(row, name, value)
        bulk.execute(*store.update_statement([row], *fields))


def test_the_first_claim_makes_the_row_and_the_second_finds_it() -> None:
    saga = uuid4()
    assert claim(saga, Action.INTENT)
    assert not claim(saga)
    row = BarrierRow.objects.get()
    assert row.key == command_id(saga, "hotel", "do")
    assert (row.saga, row.step, row.command, row.request) == (
        saga,
        "hotel",
        "inventory.book_hotel",
        {"n": [1]},
    )
    assert store.pure_row(row) == Row(Action.INTENT, Undo.NONE, "h")
    assert row.created_at
    assert row.updated_at


def test_writing_moves_the_time_of_the_last_change() -> None:
    saga = uuid4()
    claim(saga)
    before = BarrierRow.objects.get().updated_at
    write(saga, undo=Undo.DONE.value, reply={"x": 1})
    row = BarrierRow.objects.get()
    assert (row.undo, row.reply) == ("done", {"x": 1})
    assert row.updated_at >= before


@concurrent
class TestTwins:
    def hold(self, saga: UUID, claimed: threading.Event, go: threading.Event, *, commit: bool) -> bool:
        """Claim, wait for the word, then commit or roll back."""
        with transaction.atomic():
            made = claim(saga)
            write(saga, reply={"from": "the first"})
            claimed.set()
            assert go.wait(20)
            transaction.set_rollback(not commit)
        return made

    def second(self, saga: UUID) -> tuple[bool, object]:
        with transaction.atomic():
            made = claim(saga)
            return made, BarrierRow.objects.get(saga=saga).reply

    @pytest.mark.parametrize("commit", [True, False])
    def test_a_twin_waits_then_reads_what_was_stored_or_takes_over(self, commit: bool) -> None:
        """Rule 5 (the barrier): after a commit it reads the stored reply; after a rollback it owns the step."""
        saga, claimed, go = uuid4(), threading.Event(), threading.Event()
        first = in_background(lambda: self.hold(saga, claimed, go, commit=commit))
        assert claimed.wait(20)
        twin = in_background(lambda: self.second(saga))
        until_waiting_for_a_lock()
        assert not twin.done()
        go.set()
        assert first.result(20) is True
        assert twin.result(20) == ((False, {"from": "the first"}) if commit else (True, None))

    def test_a_twin_waits_only_so_long(self) -> None:
        """Rule 5 (the barrier): then it is a transient error, tried again later."""
        saga, claimed, go = uuid4(), threading.Event(), threading.Event()

        def impatient() -> bool:
            with connection.cursor() as cursor:
                cursor.execute("SET lock_timeout = '100ms'")
            return claim(saga)

        first = in_background(lambda: self.hold(saga, claimed, go, commit=True))
        assert claimed.wait(20)
        (twin,) = together(impatient)
        go.set()
        assert first.result(20)
        assert isinstance(twin, OperationalError)
        assert "lock timeout" in str(twin)

    def test_many_at_once(self) -> None:
        """Rule 5 (the barrier): one owner, however many."""
        for _ in range(10):
            saga = uuid4()
            assert sorted(together(*[lambda saga=saga: claim(saga)] * 8)) == [False] * 7 + [True]


@postgresql
@pytest.mark.parametrize(
    ("setting", "value"), [("lock_timeout", "3s"), ("transaction_isolation", "read committed")]
)
def test_what_the_barrier_needs_of_its_connection(setting: str, value: str) -> None:
    """Rule 5 (the barrier): in a stricter isolation a twin would fail instead of reading the stored reply."""
    with connection.cursor() as cursor:
        cursor.execute(f"SHOW {setting}")
        assert cursor.fetchone() == (value,)
