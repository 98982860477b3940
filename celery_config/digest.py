"""A digest of versioned rows, by which a copy is compared with its source without sending the rows (rule 20). Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Digest:
    """What one side has: equal digests mean equal keys at equal versions."""

    rows: int
    checksum: str
    """SHA-256 (hex) over each key and version, in the order of the keys' UTF-8 bytes."""


def digest(versions: Iterable[tuple[str, int]]) -> Digest:
    """Return the digest of `(key, version)` pairs, in whatever order they come."""
    # Databases sort by different collations; bytes are bytes everywhere.
    lines = sorted(f"{key}\x00{version}\n".encode() for key, version in versions)
    return Digest(len(lines), hashlib.sha256(b"".join(lines)).hexdigest())
