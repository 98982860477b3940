"""Properties of an incoming message, bounded before anything reads them.

Everyone who may publish writes there what he likes, and py-amqp, kombu and Celery read it before our code sees the
message: a table nested a thousand deep or a text that is no UTF-8 ends the process, and a `compression` header or an
encoding such as `zlib` turns a kilobyte into a gigabyte. A message with such properties arrives without them, and its
header `REFUSED` says why: a worker sends it to the dead letters, and their reader keeps it with that reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import chain
from struct import unpack_from
from typing import Any

from amqp.serialization import decode_properties_basic

REFUSED = "refused"
DEATHS = "x-death"
"""The broker's note of each time that a message became a dead letter."""
MAX_BYTES = 32 * 1024
MAX_DEPTH = 8
"""The broker's own `x-death` has a depth of 4."""
MAX_VALUES = 500
ENCODING = "utf-8"
NESTED = (dict, list)
# What an operator needs to find the sender of a refused message.
SHOWN = (b"id", b"root_id", b"task", b"x-first-death-queue", b"x-first-death-reason")
LONGEST_SHOWN = 255
SAYS = f"its header {REFUSED} says {{!r}}"
OF_DEATHS = f"forged: its header {DEATHS} is the broker's; it was sent to {{!r}} under the key {{!r}}"
"""Of a copy that a worker makes of a message, since the broker does not survive the message's own headers."""
_QUOTED = r"(?:'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\")"
COPIED = re.compile(OF_DEATHS.replace("{!r}", _QUOTED) + f"(?:; {_QUOTED})?", re.DOTALL)
METHOD_BYTES, TAG_BYTES = 4, 9  # the method's number; the delivery's tag and its flag


def read_properties(frame: bytes, offset: int) -> tuple[dict[str, Any], int]:
    """py-amqp's `decode_properties_basic` within bounds; whatever was sent, it does not raise.

    Args:
        frame: the message's header frame.
        offset: where the properties begin.
    """
    properties: dict[str, Any] = {}
    if len(frame) > MAX_BYTES:
        fault: str | None = f"the headers have {len(frame)} bytes, more than {MAX_BYTES}"
    else:
        try:
            properties, end = decode_properties_basic(frame, offset)
            fault = find_excess(properties)
            if fault is None:
                quote_refusal(properties.get("application_headers"))
                return properties, end
        # Bad UTF-8, an impossible date, an unknown type, RecursionError, MemoryError.
        except Exception as error:
            fault = f"unreadable headers: {type(error).__name__}: {error}"
    kept = {"content_type": properties["content_type"]} if "content_type" in properties else {}
    # A worker must know that it is there, though not what it says.
    deaths = {DEATHS: "not read"} if DEATHS.encode() in frame else {}
    return {**kept, "application_headers": {**find_texts(frame), **deaths, REFUSED: fault}}, len(frame)


def quote_refusal(headers: dict[str, Any] | None) -> None:
    """Quote what a sender wrote as the reason: what is quoted may be anything, and is not shown to everybody."""
    if headers and REFUSED in headers and not COPIED.fullmatch(said := str(headers[REFUSED])):
        headers[REFUSED] = SAYS.format(said)


def find_excess(properties: dict[str, Any]) -> str | None:
    """Say what of readable properties is beyond the bounds, or None."""
    encoding = properties.get("content_encoding", ENCODING)
    if encoding != ENCODING and encoding.lower() != ENCODING:
        return f"encoded as {encoding!r}; only {ENCODING} is read"
    headers = properties.get("application_headers")
    if not headers:
        return None
    if headers.get("compression"):
        return "compressed; nothing is unpacked"
    count, depth, level = len(headers), 1, [each for each in headers.values() if isinstance(each, NESTED)]
    while level and count <= MAX_VALUES:
        if depth == MAX_DEPTH:
            return f"headers nested deeper than {MAX_DEPTH}"
        count, depth = count + sum(map(len, level)), depth + 1
        level = next_level(level)
    return f"more than {MAX_VALUES} values in the headers" if count > MAX_VALUES else None


def next_level(level: Iterable[Any]) -> list[Any]:
    """The lists and tables that lie directly in these."""
    values = chain.from_iterable(each.values() if isinstance(each, dict) else each for each in level)
    return [each for each in values if isinstance(each, NESTED)]


def find_texts(frame: bytes) -> dict[str, str]:
    """Return the few headers that an operator needs, found without reading the others; a sender may forge them."""
    found = {}
    for name in SHOWN:
        key = bytes([len(name)]) + name + b"S"
        at = frame.rfind(key) + len(key)
        if at >= len(key) and len(frame) >= at + 4:
            (size,) = unpack_from(">I", frame, at)
            found[name.decode()] = frame[at + 4 : at + 4 + min(size, LONGEST_SHOWN)].decode(errors="replace")
    return found


def mend_routing_key(delivery: bytes) -> bytes:
    """Return the arguments of a delivery with a routing key that py-amqp can read: it may consist of any bytes."""
    exchange = METHOD_BYTES + 1 + delivery[METHOD_BYTES] + TAG_BYTES
    key = exchange + 1 + delivery[exchange] + 1
    if delivery[key:].isascii():
        return delivery
    return delivery[:key] + delivery[key:].decode("latin-1").encode("ascii", "replace")
