"""Range checksums: two services find the rows that differ without sending the rows that are equal. Pure.

Range-based set reconciliation: a range is split into pieces, a piece with equal checksums is done, the others are
split again (Aljoscha Meyer, "Range-Based Set Reconciliation", 2022). The source decides where the pieces end.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby, islice
from typing import Any

import msgspec

DIGEST_BYTES = 12
# Each database has an order of its own for the members of a JSON object.
encoder = msgspec.json.Encoder(order="deterministic")


@dataclass(frozen=True, slots=True)
class RowVersion:
    """A row at one version. `values` are those of the requested fields; None means that the row is deleted."""

    key: str
    version: int
    changed_at: datetime
    values: tuple[Any, ...] | None

    def equals(self, other: RowVersion | None) -> bool:
        """Whether version and values are equal; the times may differ."""
        return other is not None and (self.version, self.values) == (other.version, other.values)


@dataclass(frozen=True)
class Range:
    """The keys greater than `after` and up to `upto`; None means no bound."""

    after: str | None = None
    upto: str | None = None


@dataclass(frozen=True)
class Piece:
    """Number and checksum of one side's rows up to a key, from the end of the piece before it."""

    upto: str | None
    rows: int
    checksum: str


def make_piece(rows: Iterable[RowVersion], upto: str | None) -> Piece:
    """The piece of these rows, in the order of their keys: its checksum covers key, version and values."""
    count, digest = 0, hashlib.blake2b(digest_size=DIGEST_BYTES)
    for row in rows:
        count += 1
        digest.update(encoder.encode((row.key, row.version, row.values)))
    return Piece(upto, count, digest.hexdigest())


def pick_newest(*sources: Iterable[RowVersion]) -> list[RowVersion]:
    """Of each key the row with the highest version."""
    newest: dict[str, RowVersion] = {}
    for rows in sources:
        for row in rows:
            if row.key not in newest or newest[row.key].version < row.version:
                newest[row.key] = row
    return list(newest.values())


def split_by_size(rows: Iterable[RowVersion], upto: str | None, size: int, most: int) -> list[Piece]:
    """Split a range into at most `most` pieces of `size` rows.

    Args:
        rows: those of the range, in the order of their keys; the function reads no more than it needs.
        upto: the end of the range, where the last piece ends if the pieces cover the whole range.
    """
    remaining, pieces = iter(rows), list[Piece]()
    while len(pieces) < most:
        some = list(islice(remaining, size))
        if len(some) < size:
            return [*pieces, make_piece(some, upto)]
        pieces.append(make_piece(some, some[-1].key))
    return pieces


def split_at(rows: Iterable[RowVersion], bounds: Sequence[str | None]) -> list[Piece]:
    """The pieces that end at `bounds`, which are the bounds of the other side's pieces."""
    keys = [bound for bound in bounds if bound is not None]
    numbered = groupby(rows, lambda row: bisect_left(keys, row.key))
    found = {number: make_piece(some, bounds[number]) for number, some in numbered}
    return [found.get(number) or make_piece((), bound) for number, bound in enumerate(bounds)]


def find_differing(after: str | None, theirs: Sequence[Piece], ours: Sequence[Piece]) -> list[Range]:
    """The ranges of the pieces that differ; the first piece begins after the key `after`."""
    starts = [after, *(piece.upto for piece in theirs[:-1])]
    pairs = zip(starts, theirs, ours, strict=True)
    return [Range(start, their.upto) for start, their, our in pairs if their != our]
