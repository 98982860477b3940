"""Ranges of keys with checksums, by which two services find the rows that differ without sending the others. Pure.

Range-based set reconciliation: a range is split into pieces, equal checksums settle a piece, the others are split
again (Aljoscha Meyer, "Range-Based Set Reconciliation", 2022). The source says where the pieces end.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any

import msgspec

DIGEST_BYTES = 12
# Databases keep the members of JSON objects in orders of their own.
encoder = msgspec.json.Encoder(order="deterministic")


@dataclass(frozen=True, slots=True)
class RowVersion:
    """One row at one version; `values` are those of the fields that were asked for, None of a deleted row."""

    key: str
    version: int
    changed_at: datetime
    values: tuple[Any, ...] | None

    def same(self, other: RowVersion | None) -> bool:
        """Whether both say the same, though perhaps not of the same moment."""
        return other is not None and (self.version, self.values) == (other.version, other.values)


@dataclass(frozen=True)
class Range:
    """The keys beyond `after` and up to `upto`; None: without a bound."""

    after: str | None = None
    upto: str | None = None


@dataclass(frozen=True)
class Piece:
    """What one side has up to a key, from where the piece before it ended."""

    upto: str | None
    rows: int
    checksum: str


@dataclass
class ChecksumBuilder:
    """A checksum in the making: of key, version and values of each row, in the order of the keys."""

    rows: int = 0
    made: Any = field(default_factory=lambda: hashlib.blake2b(digest_size=DIGEST_BYTES))

    def add(self, entry: RowVersion) -> None:
        self.rows += 1
        self.made.update(encoder.encode((entry.key, entry.version, entry.values)))

    def piece(self, upto: str | None) -> Piece:
        return Piece(upto, self.rows, self.made.hexdigest())


def pick_newest(*of: Iterable[RowVersion]) -> list[RowVersion]:
    """One entry a key: the one of the highest version."""
    found: dict[str, RowVersion] = {}
    for entries in of:
        for entry in entries:
            if entry.key not in found or found[entry.key].version < entry.version:
                found[entry.key] = entry
    return list(found.values())


def split_by_size(entries: Iterable[RowVersion], upto: str | None, size: int, most: int) -> list[Piece]:
    """Split a range into at most `most` pieces of `size` rows; the last one ends at `upto` if that is all.

    Args:
        entries: of the range, in the order of their keys; no more of them are read than needed.
    """
    coming, pieces = iter(entries), list[Piece]()
    while len(pieces) < most:
        some, last = ChecksumBuilder(), None
        for entry in islice(coming, size):
            some.add(entry)
            last = entry.key
        if some.rows < size:
            return [*pieces, some.piece(upto)]
        pieces.append(some.piece(last))
    return pieces


def split_at(entries: Iterable[RowVersion], bounds: Sequence[str | None]) -> list[Piece]:
    """The pieces that end at `bounds`, as the other side has split them."""
    pieces, some, number = list[Piece](), ChecksumBuilder(), 0
    for entry in entries:
        while beyond(entry.key, bounds[number]):
            pieces.append(some.piece(bounds[number]))
            some, number = ChecksumBuilder(), number + 1
        some.add(entry)
    for bound in bounds[number:]:
        pieces.append(some.piece(bound))
        some = ChecksumBuilder()
    return pieces


def beyond(key: str, bound: str | None) -> bool:
    return bound is not None and key > bound


def find_differing(after: str | None, theirs: Sequence[Piece], ours: Sequence[Piece]) -> list[Range]:
    """Where two sides differ, of the ranges that begin beyond `after`."""
    found = []
    for one, other in zip(theirs, ours, strict=True):
        if one != other:
            found.append(Range(after, one.upto))
        after = one.upto
    return found
