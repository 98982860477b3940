"""Range checksums: two services find the rows that differ without sending the rows that are equal. Pure.

Range-based set reconciliation: a range is split into pieces, a piece with equal checksums is done, the others are
split again (Aljoscha Meyer, "Range-Based Set Reconciliation", 2022). The source decides where the pieces end.
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


@dataclass
class ChecksumBuilder:
    """Computes a checksum over key, version and values of rows, which are added in the order of their keys."""

    rows: int = 0
    digest: Any = field(default_factory=lambda: hashlib.blake2b(digest_size=DIGEST_BYTES))

    def add(self, row: RowVersion) -> None:
        self.rows += 1
        self.digest.update(encoder.encode((row.key, row.version, row.values)))

    def build_piece(self, upto: str | None) -> Piece:
        return Piece(upto, self.rows, self.digest.hexdigest())


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
        builder, last = ChecksumBuilder(), None
        for row in islice(remaining, size):
            builder.add(row)
            last = row.key
        if builder.rows < size:
            return [*pieces, builder.build_piece(upto)]
        pieces.append(builder.build_piece(last))
    return pieces


def split_at(rows: Iterable[RowVersion], bounds: Sequence[str | None]) -> list[Piece]:
    """The pieces that end at `bounds`, which are the bounds of the other side's pieces."""
    pieces, builder = list[Piece](), ChecksumBuilder()
    for row in rows:
        while (bound := bounds[len(pieces)]) is not None and row.key > bound:
            pieces.append(builder.build_piece(bound))
            builder = ChecksumBuilder()
        builder.add(row)
    for bound in bounds[len(pieces) :]:
        pieces.append(builder.build_piece(bound))
        builder = ChecksumBuilder()
    return pieces


def find_differing(after: str | None, theirs: Sequence[Piece], ours: Sequence[Piece]) -> list[Range]:
    """The ranges of the pieces that differ; the first piece begins after the key `after`."""
    starts = [after, *(piece.upto for piece in theirs[:-1])]
    pairs = zip(starts, theirs, ours, strict=True)
    return [Range(start, their.upto) for start, their, our in pairs if their != our]
