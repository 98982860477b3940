"""Properties of messages that no client library would write, as they are on the wire."""

from __future__ import annotations

import struct
from collections.abc import Mapping

import amqp

CONTENT_TYPE, CONTENT_ENCODING, HEADERS, CORRELATION_ID = 0x8000, 0x4000, 0x2000, 0x0400
VOID = b"V"


class RawMessage(amqp.Message):
    """A message whose properties are these bytes."""

    def __init__(self, body: bytes, raw: bytes) -> None:
        super().__init__(body)
        self.raw = raw

    def _serialize_properties(self) -> bytes:
        return self.raw


def short(text: bytes) -> bytes:
    return bytes([len(text)]) + text


def text(value: str) -> bytes:
    """A text as the value of a header."""
    return b"S" + struct.pack(">I", len(value)) + value.encode()


def table(values: Mapping[str, bytes]) -> bytes:
    """A table, as its kind of value says: `F` before it makes it a value itself."""
    inner = b"".join(short(name.encode()) + value for name, value in values.items())
    return struct.pack(">I", len(inner)) + inner


def nested(depth: int) -> bytes:
    """A header whose value is a table in a table in a table."""
    value = VOID
    for _ in range(depth):
        value = b"F" + table({"a": value})
    return value


def many(count: int) -> bytes:
    """A header whose value is a list of nothing."""
    return b"A" + struct.pack(">I", count) + VOID * count


def properties(
    headers: Mapping[str, bytes],
    *,
    content_type: bytes = b"application/json",
    content_encoding: bytes = b"utf-8",
    correlation_id: bytes = b"",
) -> bytes:
    """The bytes of a message's properties."""
    flags = CONTENT_TYPE | CONTENT_ENCODING | HEADERS | (CORRELATION_ID if correlation_id else 0)
    written = struct.pack(">H", flags) + short(content_type) + short(content_encoding) + table(headers)
    return written + (short(correlation_id) if correlation_id else b"")


def hostile(task: str, *, id: str = "1") -> dict[str, bytes]:
    """Properties of a message with this task, by what is wrong with them."""
    plain = {"task": text(task), "id": text(id)}
    return {
        "nested too deeply for Python": properties({**plain, "deep": nested(1500)}),
        "nested a little": properties({**plain, "deep": nested(8)}),
        "many values": properties({**plain, "many": many(5_000)}),
        "much text": properties({**plain, "root_id": text("x" * 100_000)}),
        "compressed": properties({**plain, "compression": text("gzip")}),
        "compressed somehow": properties({**plain, "compression": text("no such")}),
        "packed by its encoding": properties(
            plain, content_type=b"application/data", content_encoding=b"zlib"
        ),
        "an encoding that takes hours": properties(plain, content_encoding=b"punycode"),
        "a type that is no text": properties(plain, content_type=b"\xff\xfe"),
        "a correlation id that is no text": properties(plain, correlation_id=b"\xff"),
        "a death that is too long": properties({**plain, "x-death": text("x" * 100_000)}),
        "a death that is nested too deeply": properties({**plain, "x-death": nested(1500)}),
        "a time that no calendar has": properties({**plain, "at": b"T" + struct.pack(">Q", 2**63)}),
    }
