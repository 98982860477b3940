"""Ids that grow with time: a new row's place in an index is beside the last one's, however many there are."""

from __future__ import annotations

import os
import time
from uuid import UUID

VERSION_7, VARIANT = 0x7 << 76, 0b10 << 62
RANDOM_A, RANDOM_B = 0xFFF << 64, (1 << 62) - 1


def uuid7() -> UUID:
    """A UUID of version 7: the milliseconds since 1970 in its first 48 bits, then 74 random ones (RFC 9562, 5.7)."""
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10), "big")
    return UUID(int=milliseconds << 80 | VERSION_7 | random & RANDOM_A | VARIANT | random & RANDOM_B)
