"""The synchronization of a copy: it finds and repairs the rows that differ from the source, while both still change."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from celery_config.common import grouping
from celery_config.copies import store
from celery_config.copies.models import FINAL_VERSION
from celery_config.copies.ranges import Piece, Range, RowVersion, find_differing, split_at
from celery_config.copies.readers import CopyReader, stream_rows
from celery_config.copies.source_client import SourceClient
from celery_config.http.service_client import ServiceCallError

PIECE_ROWS, PIECES = 1000, 20
"""Rows of one checksum, and checksums of one request."""
SMALL_PIECE_ROWS = 32
"""Rows that are sent themselves when one of them differs."""
RANGES_PER_REQUEST = 50
SUSPECTS_AT_ONCE = 1000
PATIENCE_SECONDS = 30.0
FIRST_PAUSE, MAX_PAUSE = 0.1, 2.0
MAX_SHOWN_KEYS = 20
MOST_ROWS = 100 * PIECE_ROWS
"""Of a range that had `PIECE_ROWS` when it was asked for; it may have grown since."""
Progress = Callable[[int], None]
Pair = tuple[RowVersion | None, RowVersion | None]
"""The copy's row and the source's row of one key, read in this order."""


@dataclass
class SyncResult:
    """What a comparison found."""

    rows: int = 0
    """At the source, tombstones included."""
    differing: int = 0
    mended: int = 0
    keys: list[str] = field(default_factory=list)
    """The first of those that differ."""


def compare(
    source: SourceClient, *, mend: bool = False, patience: float, progress: Progress = lambda _: None
) -> SyncResult:
    """Find the rows that differ, and still differ after changes under way had time to arrive.

    Args:
        mend: write these rows as the source has them.
        patience: seconds to wait for changes under way, for all rows together.
        progress: called with the number of rows compared so far.

    Raises:
        ServiceCallError: the source does not answer.
    """
    sync, wait = Synchronizer(source, progress), Patience(patience)
    suspects: list[str] = []
    for ranges in sync.walk_ranges():
        suspects += [
            key for each in sync.narrow_ranges(ranges) for key in find_unequal(sync.read_range(each))
        ]
        while len(suspects) >= SUSPECTS_AT_ONCE:
            sync.judge_suspects(suspects[:SUSPECTS_AT_ONCE], wait, mend=mend)
            del suspects[:SUSPECTS_AT_ONCE]
    sync.judge_suspects(suspects, wait, mend=mend)
    return sync.result


def rebuild(source: SourceClient, progress: Progress = lambda _: None) -> SyncResult:
    """Write every row that differs as the source has it, range by range, even into an empty copy.

    Events may arrive at the same time: what they wrote after the copy was read stays. No reader misses a row.
    """
    sync = Synchronizer(source, progress)
    for ranges in sync.walk_ranges():
        for each in ranges:
            sync.mend_rows(sync.read_range(each).values())
    return sync.result


class Patience:
    """A waiting time that all rows share."""

    def __init__(self, seconds: float) -> None:
        self.left = seconds
        self.pause = FIRST_PAUSE

    def wait(self) -> bool:
        """Wait a little; return False when no time is left."""
        if self.left <= 0:
            return False
        seconds = min(self.pause, self.left)
        time.sleep(seconds)  # other processes write the rows and send no signal
        self.left -= seconds
        self.pause = min(2 * self.pause, MAX_PAUSE)
        return True


class Synchronizer:
    """One comparison of a copy with its source, and what it has found so far."""

    def __init__(self, source: SourceClient, progress: Progress) -> None:
        self.source = source
        self.copy = CopyReader(source.copy)
        self.progress = progress
        self.result = SyncResult()

    def walk_ranges(self) -> Iterator[list[Range]]:
        """Go through all keys; yield the ranges of up to `PIECE_ROWS` rows whose checksums differ."""
        after: str | None = None
        while True:
            (theirs,) = self.source.fetch_pieces([Range(after)], PIECE_ROWS, PIECES)
            differing = self.compare_pieces(after, theirs)
            self.result.rows += sum(piece.rows for piece in theirs)
            yield differing
            self.progress(self.result.rows)
            after = theirs[-1].upto
            if after is None:
                return

    def narrow_ranges(self, ranges: Sequence[Range]) -> Iterator[Range]:
        """The small ranges within these that differ."""
        # More pieces than a range had: it may have grown since.
        most = 4 * PIECE_ROWS // SMALL_PIECE_ROWS
        for some in grouping.split_chunks(ranges, RANGES_PER_REQUEST):
            fetched = self.source.fetch_pieces(some, SMALL_PIECE_ROWS, most)
            for each, theirs in zip(some, fetched, strict=True):
                yield from self.compare_pieces(each.after, theirs)
                if theirs[-1].upto != each.upto:
                    yield Range(theirs[-1].upto, each.upto)

    def compare_pieces(self, after: str | None, theirs: Sequence[Piece]) -> list[Range]:
        bounds = [piece.upto for piece in theirs]
        return find_differing(after, theirs, split_at(stream_rows(self.copy, after, bounds[-1]), bounds))

    def read_range(self, each: Range) -> dict[str, Pair]:
        ours = {row.key: row for row in stream_rows(self.copy, each.after, each.upto)}
        theirs = {}
        for row in stream_rows(self.source, each.after, each.upto, PIECE_ROWS):
            theirs[row.key] = row
            if len(theirs) > MOST_ROWS:
                raise ServiceCallError(
                    f"the source says of a range that it has {PIECE_ROWS} rows, and sends {MOST_ROWS}"
                )
        return {key: (ours.get(key), theirs.get(key)) for key in ours.keys() | theirs.keys()}

    def read_keys(self, keys: Sequence[str]) -> dict[str, Pair]:
        ours = self.copy.read_keys(keys)
        theirs = self.source.read_keys(keys)
        return {key: (ours.get(key), theirs.get(key)) for key in keys}

    def mend_rows(self, pairs: Iterable[Pair]) -> None:
        """Write the rows that differ as the source has them."""
        wrong = [pair for pair in pairs if differs(*pair) and not is_final(pair[0])]
        for some in grouping.split_chunks(wrong, PIECE_ROWS):
            store.replace_rows(self.source.copy, some)
        self.result.mended += len(wrong)

    def judge_suspects(self, suspects: Sequence[str], wait: Patience, *, mend: bool) -> None:
        """Count the suspects that still differ after the wait; with `mend`, repair them first."""
        differing = self.confirm_suspects(suspects, wait)
        if mend:
            self.mend_rows(differing.values())
            differing = find_unequal(self.read_keys(list(differing)))
        self.result.differing += len(differing)
        self.result.keys += sorted(differing)[: MAX_SHOWN_KEYS - len(self.result.keys)]

    def confirm_suspects(self, suspects: Sequence[str], wait: Patience) -> dict[str, Pair]:
        """The suspects that no event can make equal, or for which none arrived in time."""
        certain, waiting = dict[str, Pair](), dict[str, Pair]()
        first_versions = dict[str, int]()
        keys = list(suspects)
        while keys:
            waiting.clear()
            for key, (ours, theirs) in find_unequal(self.read_keys(keys)).items():
                # An event under way can make them equal: ours was read first, and the source announces every version.
                if theirs and (ours is None or ours.version < theirs.version):
                    # A row may change all the time, so the copy only needs the version that was seen first.
                    wanted = first_versions.setdefault(key, theirs.version)
                    if ours is None or ours.version < wanted:
                        waiting[key] = (ours, theirs)
                else:
                    certain[key] = (ours, theirs)
            keys = list(waiting)
            if not keys or not wait.wait():
                break
        return certain | waiting


def find_unequal(pairs: Mapping[str, Pair]) -> dict[str, Pair]:
    return {key: pair for key, pair in pairs.items() if differs(*pair)}


def differs(ours: RowVersion | None, theirs: RowVersion | None) -> bool:
    return not ours.equals(theirs) if ours else theirs is not None


def is_final(row: RowVersion | None) -> bool:
    """Whether the row is retired: even a source that was set back does not bring it back."""
    return row is not None and row.version == FINAL_VERSION
