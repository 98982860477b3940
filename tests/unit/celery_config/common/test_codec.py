"""JSON of Celery's messages: what kombu writes is read, what cannot be read says so."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

import msgspec
import pytest
from django.utils.functional import lazystr
from kombu.utils import json as kombus

from celery_config.common import codec


class Colour(StrEnum):
    RED = "red"


@pytest.mark.parametrize(
    "value",
    [
        [[], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}],
        {"text": "ø — 字", "number": 1.5, "nothing": None, "yes": True, "nested": [[{"a": [1]}]]},
        {"big": 2**62, "negative": -1, "empty": ""},
    ],
)
def test_it_reads_and_writes_what_kombu_does(value: object) -> None:
    assert codec.decode(kombus.dumps(value)) == value == kombus.loads(codec.encode(value))


def test_what_kombu_marks_with_a_type_is_read_as_kombu_reads_it() -> None:
    value = {"id": UUID(int=1), "at": datetime(2026, 1, 2, tzinfo=UTC), "amount": Decimal("1.20")}
    assert codec.decode(kombus.dumps(value)) == value


def test_words_that_are_not_plain_text_are_written_as_text() -> None:
    assert codec.encode([Colour.RED, lazystr("red"), (1, 2)]) == '["red","red",[1,2]]'


@pytest.mark.parametrize("data", ['{"a":NaN}', '"\\ud800"', '{"a":1}{', "", "[" * 100_000])
def test_what_is_no_json_is_an_error(data: str) -> None:
    with pytest.raises((msgspec.DecodeError, RecursionError)):
        codec.decode(data)
