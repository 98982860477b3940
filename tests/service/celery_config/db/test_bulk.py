"""Many rows with one statement: what is written is what Django would have written."""

from __future__ import annotations

import json
import sqlite3
from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from celery_config.db import bulk
from celery_config.db.functions import Now
from celery_config.messaging.models import BarrierRow, InboxEntry, OutboxMessage

pytestmark = pytest.mark.django_db
ODD = {"text": "ä \\ \"quoted\" '%s' %% \t", "none": None, "deep": [1.5, {"x": []}], "big": 2**53}


def row(step: str = "hotel", **fields: object) -> BarrierRow:
    return BarrierRow(
        key=uuid4(), saga=uuid4(), step=step, command="x", command_hash="", action="done", undo="", **fields
    )


FIELDS = ("key", "saga", "step", "command", "command_hash", "action", "undo", "request", "reply")


def test_they_are_read_as_they_were_written() -> None:
    written = [row(request=ODD), row("flight", reply={"a": 1}), row(ODD["text"])]  # type: ignore[arg-type]
    bulk.insert(BarrierRow, written, FIELDS)
    for each in written:
        read = BarrierRow.objects.get(pk=each.key)
        assert [getattr(read, name) for name in FIELDS] == [getattr(each, name) for name in FIELDS]
        assert (read.note, read.request is None) == ("", each.request is None)
        assert timezone.now() - read.created_at < timedelta(minutes=1)


def test_one_that_is_there_is_passed_over_and_said_so() -> None:
    there, new = row(), row("flight")
    bulk.insert(BarrierRow, [there], FIELDS)
    again = row("other")
    again.key = there.key
    assert bulk.insert_new(BarrierRow, [again, new], FIELDS, returning="key") == [new.key]
    assert BarrierRow.objects.get(pk=there.key).step == "hotel"
    event = uuid4()
    entries = [InboxEntry(event=event, handler="x")] * 2
    assert bulk.insert_new(InboxEntry, entries, ("event", "handler"), returning="event") == [event]


def test_only_the_named_fields_of_the_named_rows_change() -> None:
    one, two, other = row(), row(), row()
    bulk.insert(BarrierRow, [one, two, other], FIELDS)
    old = timezone.now() - timedelta(days=1)
    BarrierRow.objects.update(updated_at=old)
    one.reply, two.reply, one.step = ODD, None, "not written"
    one.updated_at = two.updated_at = Now()
    bulk.update(BarrierRow, [one, two], ["reply", "updated_at"])
    assert [BarrierRow.objects.get(pk=each.key).reply for each in (one, two, other)] == [ODD, None, None]
    assert BarrierRow.objects.get(pk=one.key).step == "hotel"
    assert BarrierRow.objects.get(pk=one.key).updated_at > old
    assert BarrierRow.objects.get(pk=other.key).updated_at == old


def test_times_of_our_own_and_the_databases_may_be_mixed() -> None:
    when = timezone.now() - timedelta(days=1)
    ours, theirs = (OutboxMessage.objects.create(kind="event", name="x", payload={}) for _ in range(2))
    ours.published_at, theirs.published_at = when, Now()  # type: ignore[assignment]
    bulk.update(OutboxMessage, [ours, theirs], ["published_at"])
    assert OutboxMessage.objects.get(pk=ours.pk).published_at == when
    published = OutboxMessage.objects.get(pk=theirs.pk).published_at
    assert published
    assert published > when


def test_nothing_is_asked_for_no_rows(django_assert_num_queries: object) -> None:
    with django_assert_num_queries(0):  # type: ignore[operator]
        bulk.insert(BarrierRow, [], FIELDS)
        assert bulk.insert_new(BarrierRow, [], FIELDS, returning="key") == []
        bulk.update(BarrierRow, [], ["reply"])


def test_on_sqlite_too() -> None:
    """As Django stores it there: ids without dashes, times as text, JSON as text."""
    with sqlite3.connect(":memory:") as database:
        columns = ", ".join(
            f"{name} TEXT" for name in ("kind", "name", "saga", "payload", "due_at", "published_at")
        )
        database.execute(f"CREATE TABLE messaging_outboxmessage (id INTEGER PRIMARY KEY, {columns})")
        due = timezone.now()
        message = OutboxMessage(id=1, kind="task", name="x", saga=uuid4(), payload=ODD, due_at=due)
        fields = ("id", "kind", "name", "saga", "payload", "due_at", "published_at")
        insert = bulk.build_insert(OutboxMessage, fields, "id", "sqlite").replace("%s", "?")
        given = [bulk.json_parameter(OutboxMessage, [message], fields)]
        assert database.execute(insert, given).fetchall() == [(1,)]
        assert database.execute(insert, given).fetchall() == []
        (read,) = database.execute("SELECT * FROM messaging_outboxmessage").fetchall()
        assert message.saga
        stored = due.strftime("%Y-%m-%d %H:%M:%S.%f")
        assert (read[3], json.loads(read[4]), read[5], read[6]) == (message.saga.hex, ODD, stored, None)
        message.payload = [1]
        change = bulk.build_update(OutboxMessage, ("payload",), ("published_at",), "sqlite")
        database.execute(
            change.replace("%s", "?").replace("%%", "%"),
            [bulk.json_parameter(OutboxMessage, [message], ("pk", "payload"))],
        )
        (read,) = database.execute("SELECT payload, published_at FROM messaging_outboxmessage").fetchall()
        assert json.loads(read[0]) == [1]
        assert read[1].startswith(str(timezone.now().year))
