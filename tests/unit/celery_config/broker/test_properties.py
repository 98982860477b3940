"""Properties of messages are bounded before anything reads them; of ordinary ones nothing is lost."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import amqp
import pytest
from amqp import spec
from amqp.method_framing import frame_handler
from amqp.serialization import decode_properties_basic, dumps, loads
from kombu import Connection
from kombu.transport.pyamqp import Channel, Message

from celery_config.broker import properties, transport
from celery_config.broker.properties import (
    DEATHS,
    OF_DEATHS,
    REFUSED,
    mend_routing_key,
    quote_refusal,
    read_properties,
)
from celery_config.broker.validation import find_fault
from celery_config.contracts.privacy import hide_quoted
from tests import hostile_properties
from tests.hostile_properties import many, nested, text

TASK = "inventory.reserve_stock"
HOSTILE = hostile_properties.hostile(TASK)
DEATH = {
    "reason": "rejected", "queue": "inventory.commands", "count": 1, "exchange": "commands",
    "routing-keys": ["inventory"],
}  # fmt: skip
ORDINARY: dict[str, dict[str, Any]] = {
    "none": {},
    "a task of ours": {"task": TASK, "id": "1", "root_id": "2", "retries": 0, "argsrepr": "()" * 500},
    "a stamped one": {"task": TASK, "id": "1", "stamps": {"a": ["b"]}, "stamped_headers": ["a"]},
    "a dead letter": {"task": TASK, "id": "1", "x-death": [DEATH] * 10, "x-first-death-reason": "rejected"},
}


def header_frame(raw: bytes, body_bytes: int = 0) -> bytes:
    return struct.pack(">HHQ", spec.Basic.CLASS_ID, 0, body_bytes) + raw


def read(raw: bytes) -> dict[str, Any]:
    found, _ = read_properties(header_frame(raw), 12)
    return found


@pytest.mark.parametrize("headers", ORDINARY.values(), ids=ORDINARY)
def test_ordinary_ones_are_read_as_py_amqp_reads_them(headers: dict[str, Any]) -> None:
    message = amqp.Message("", content_type="application/json", content_encoding="utf-8", correlation_id="1")
    message.properties["application_headers"] = headers
    frame = header_frame(message._serialize_properties())
    assert read_properties(frame, 12) == decode_properties_basic(frame, 12)


@pytest.mark.parametrize("raw", HOSTILE.values(), ids=HOSTILE)
def test_others_arrive_without_what_is_hostile_and_with_the_reason(raw: bytes) -> None:
    found = read(raw)
    headers = found["application_headers"]
    assert {**headers, REFUSED: ""} == {"task": TASK, "id": "1", REFUSED: ""} | (
        {"root_id": "x" * 255} if b"root_id" in raw else {}
    ) | ({DEATHS: "not read"} if b"x-death" in raw else {})
    assert set(found) <= {"application_headers", "content_type"}


@pytest.mark.parametrize(
    ("headers", "fault"),
    [
        ({"deep": nested(7)}, None),
        ({"deep": nested(8)}, "headers nested deeper than 8"),
        ({"many": many(499)}, None),
        ({"many": many(500)}, "more than 500 values in the headers"),
        ({"much": text("x" * 32_000)}, None),
        ({"much": text("x" * 33_000)}, "the headers have 33051 bytes, more than 32768"),
        ({"compression": text("")}, None),
    ],
)
def test_bounds(headers: dict[str, bytes], fault: str | None) -> None:
    assert read(hostile_properties.properties(headers))["application_headers"].get(REFUSED) == fault


def test_nothing_is_unpacked_and_nobody_could_run_it() -> None:
    """By py-amqp and kombu, from the frame to the message that a consumer gets."""
    body, came = zlib.compress(bytes(10_000_000)), []
    connection = transport.Connection()
    connection.channels = {1: Channel(connection, 1, auto_decode=True)}
    connection.channels[1].callbacks["tag"] = came.append
    read_frame = frame_handler(connection, connection.on_inbound_method)
    transport.register()
    arguments = dumps("sLbss", ["tag", 200, False, "commands", b"\xff"])
    for raw in HOSTILE.values():
        read_frame((1, 1, struct.pack(">HH", *spec.Basic.Deliver) + arguments))
        read_frame((2, 1, header_frame(raw, len(body))))
        read_frame((3, 1, body))
    assert len(came) == len(HOSTILE)
    for each in came:
        message = Message(each, channel=connection.channels[1], accept={"application/json"})
        assert bytes(message.body) == body
        assert find_fault(message) == message.headers[REFUSED]


@pytest.mark.parametrize("tag", [0, 200, 2**63])
@pytest.mark.parametrize(
    ("key", "read"),
    [(b"payment", "payment"), (b"", ""), (b"pay\xff\xc3\xa4", "pay???"), (b"\x80" * 255, "?" * 255)],
)
def test_a_routing_key_may_be_any_bytes(key: bytes, read: str, tag: int) -> None:
    sent = bytes(4) + dumps("sLbss", ["a consumer's tag", tag, True, "commands", key])
    values, _ = loads("sLbss", mend_routing_key(sent), 4)
    assert values == ["a consumer's tag", tag, True, "commands", read]
    assert (mend_routing_key(sent) is sent) == key.isascii()


@pytest.mark.parametrize("scheme", ["amqp", "amqps"])
def test_a_connection_stays_ours_after_a_failover(scheme: str) -> None:
    transport.register()
    connection = Connection(f"{scheme}://one//;{scheme}://two//")
    for _ in range(3):
        made = connection.transport
        assert isinstance(made, transport.Transport)
        assert made.Connection is transport.Connection
        assert bool(connection.ssl) == (scheme == "amqps")
        connection.maybe_switch_next()


def test_the_texts_that_are_shown_may_be_cut_off() -> None:
    assert properties.find_texts(b"\x04taskS\x00\x00") == {}
    assert properties.find_texts(b"\x04taskS\x00\x00\x00\x09ab\xff") == {"task": "ab\ufffd"}


@pytest.mark.parametrize(
    "said", ["Ada Lovelace", "forged: it was Ada", f"{OF_DEATHS.format('a', 'b')} Ada", 7]
)
def test_what_a_sender_writes_as_the_reason_is_quoted(said: Any) -> None:
    headers = {REFUSED: said}
    quote_refusal(headers)
    assert headers[REFUSED] == f"its header refused says {str(said)!r}"
    assert "Ada" not in hide_quoted(str(headers[REFUSED]))


def test_the_reason_on_a_copy_of_a_worker_stays() -> None:
    for own in (OF_DEATHS.format("an 'x'", 'a "key"'), f"{OF_DEATHS.format('x', 'y')}; {'Ada'!r}"):
        headers = {REFUSED: own}
        quote_refusal(headers)
        assert headers == {REFUSED: own}
        assert "Ada" not in hide_quoted(own)
