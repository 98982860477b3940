"""Ids that grow with time."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from uuid import RFC_4122, UUID, uuid4

import pytest

from celery_config.common.identifiers import min_uuid7_at, parse_uuid, uuid7, uuid7_time


def test_it_is_a_uuid_of_version_7_and_holds_the_time() -> None:
    before = time.time_ns() // 1_000_000
    made = uuid7()
    assert (made.version, made.variant) == (7, RFC_4122)
    assert before <= made.int >> 80 <= time.time_ns() // 1_000_000


def test_a_later_one_is_greater_and_none_comes_twice() -> None:
    first = uuid7()
    time.sleep(0.002)
    assert first < uuid7()
    assert len({uuid7() for _ in range(10_000)}) == 10_000


def test_it_tells_when_it_was_made_and_another_does_not() -> None:
    moment = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
    assert uuid7_time(uuid7(moment)) == moment
    assert uuid7_time(uuid4()) is None


def test_the_first_of_a_moment_parts_earlier_from_later() -> None:
    moment = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
    assert uuid7(moment - timedelta(milliseconds=1)) < min_uuid7_at(moment) <= uuid7(moment)


def test_an_id_is_written_in_ascii_without_underscores() -> None:
    written = "12345678-1234-1234-1234-123456789012"
    assert parse_uuid(written) == parse_uuid(written.replace("-", "")) == UUID(written)


@pytest.mark.parametrize(
    "text", ["\uff112345678-1234-1234-1234-123456789012", "1_2345678-1234-1234-1234-12345678901", "x", ""]
)
def test_what_python_alone_reads_as_an_id_is_none(text: str) -> None:
    assert parse_uuid(text) is None
