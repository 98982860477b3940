"""Identifiers that grow with time, so that a new one lies beside the last one in an index."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from uuid import UUID

VERSION_7, VARIANT = 0x7 << 76, 0b10 << 62
RANDOM_A, RANDOM_B = 0xFFF << 64, (1 << 62) - 1


def uuid7(at: datetime | None = None) -> UUID:
    """A UUID of version 7: the milliseconds since 1970 in its first 48 bits, then 74 random ones (RFC 9562, 5.7).

    Args:
        at: the time that it holds; by default the present.
    """
    milliseconds = int(at.timestamp() * 1000) if at else time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10), "big")
    return UUID(int=milliseconds << 80 | VERSION_7 | random & RANDOM_A | VARIANT | random & RANDOM_B)


def uuid7_time(uuid: UUID) -> datetime | None:
    """The time that a UUID holds, at most the last one that Python knows; None if it is of another version."""
    if uuid.version != 7:
        return None
    try:
        return datetime.fromtimestamp((uuid.int >> 80) / 1000, tz=UTC)
    except ValueError:  # a stranger's id: 48 bits reach into the year 10889
        return datetime.max.replace(tzinfo=UTC)


def min_uuid7_at(moment: datetime) -> UUID:
    """A lower bound of all UUIDs of version 7 that were made at this moment or later; none was before 1970."""
    return UUID(int=max(0, int(moment.timestamp() * 1000)) << 80)


def parse_uuid(text: str) -> UUID | None:
    """The id that a person or another system wrote; None for a text that is no id of ours."""
    # Python reads digits of all scripts as digits, and leaves out underscores.
    if not text.isascii() or "_" in text:
        return None
    try:
        return UUID(text)
    except ValueError:
        return None


def abbreviate_id(value: object) -> str:
    """Return the end of an id, `…1a2b3c4d`: ids that grow with time begin alike."""
    return f"…{str(value)[-8:]}"
