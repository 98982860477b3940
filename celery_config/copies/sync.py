"""Comparing a copy with its source, and mending it, while both go on changing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from celery_config.common import grouping
from celery_config.copies import store
from celery_config.copies.ranges import Range, RowVersion, find_differing, split_at
from celery_config.copies.readers import CopyReader, stream_rows
from celery_config.copies.source_client import SourceClient

PIECE, PIECES = 1000, 20
"""Rows whose checksum is sent, and how many checksums are asked for at once."""
SMALL = 32
"""Rows that are sent themselves, if one of them differs."""
RANGES_AT_ONCE = 50
JUDGED_AT_ONCE = 1000
PATIENCE_SECONDS = 30.0
FIRST_WAIT, LONGEST_WAIT = 0.1, 2.0
Pair = tuple[RowVersion | None, RowVersion | None]
"""What we have and what the source has of one key, read in this order."""


@dataclass
class SyncResult:
    """What a comparison found."""

    rows: int = 0
    """At the source, tombstones included."""
    differing: int = 0
    mended: int = 0
    keys: list[str] = field(default_factory=list)
    """The first of those that differ."""


Progress = Callable[[int], None]
MAX_SHOWN_KEYS = 20


def compare(
    source: SourceClient,
    *,
    mend: bool = False,
    patience: float,
    progress: Progress = lambda _: None,
) -> SyncResult:
    """Find the rows that differ, and still do so when what is under way has had time to arrive.

    Args:
        mend: write them as the source has them.
        patience: seconds, in all, for what is under way.
        progress: told the number of rows compared.

    Raises:
        PeerError: the source does not answer.
    """
    found, kept, wait = SyncResult(), CopyReader(source.copy), Patience(patience)
    suspects: list[str] = []
    for ranges in walk(source, kept, found, progress):
        suspects += [
            key for each in narrowed(source, kept, ranges) for key in suspects_of(source, kept, each)
        ]
        while len(suspects) >= JUDGED_AT_ONCE:
            judge(source, kept, suspects[:JUDGED_AT_ONCE], wait, found, mend=mend)
            del suspects[:JUDGED_AT_ONCE]
    judge(source, kept, suspects, wait, found, mend=mend)
    return found


def rebuild(source: SourceClient, progress: Progress = lambda _: None) -> SyncResult:
    """Write whatever differs as the source has it, range by range, from an empty copy if need be.

    Events may flow meanwhile: what they brought after we looked stays. Nobody sees a row missing that is not.
    """
    found, kept = SyncResult(), CopyReader(source.copy)
    for ranges in walk(source, kept, found, progress):
        for each in ranges:
            ours = {entry.key: entry for entry in stream_rows(kept, each.after, each.upto)}
            theirs = {entry.key: entry for entry in rows_of_range(source, each)}
            pairs = [(ours.get(key), theirs.get(key)) for key in ours.keys() | theirs.keys()]
            found.mended += write(kept, source, pairs)
    return found


def walk(
    source: SourceClient, kept: CopyReader, found: SyncResult, progress: Progress
) -> Iterator[list[Range]]:
    """Go through all keys; yield the ranges of up to `PIECE` rows whose checksums differ."""
    after: str | None = None
    while True:
        (theirs,) = source.pieces([Range(after)], PIECE, PIECES)
        ours = split_at(stream_rows(kept, after, theirs[-1].upto), [piece.upto for piece in theirs])
        found.rows += sum(piece.rows for piece in theirs)
        yield find_differing(after, theirs, ours)
        progress(found.rows)
        after = theirs[-1].upto
        if after is None:
            return


def narrowed(source: SourceClient, kept: CopyReader, ranges: Sequence[Range]) -> Iterator[Range]:
    """The small ranges within these that differ."""
    for some in grouping.split_chunks(ranges, RANGES_AT_ONCE):
        # A range may have grown since it was measured.
        for each, theirs in zip(some, source.pieces(some, SMALL, 4 * PIECE // SMALL), strict=True):
            ours = split_at(stream_rows(kept, each.after, theirs[-1].upto), [piece.upto for piece in theirs])
            yield from find_differing(each.after, theirs, ours)
            if theirs[-1].upto != each.upto:
                yield Range(theirs[-1].upto, each.upto)


def suspects_of(source: SourceClient, kept: CopyReader, each: Range) -> list[str]:
    """The keys within a small range of which the two say different things at present."""
    ours = {entry.key: entry for entry in stream_rows(kept, each.after, each.upto)}
    theirs = {entry.key: entry for entry in rows_of_range(source, each)}
    return [key for key in ours.keys() | theirs.keys() if differs(ours.get(key), theirs.get(key))]


def rows_of_range(source: SourceClient, each: Range) -> Iterator[RowVersion]:
    while page := source.rows_between(each, PIECE):
        yield from page
        if len(page) < PIECE:
            return
        each = Range(page[-1].key, each.upto)


def differs(ours: RowVersion | None, theirs: RowVersion | None) -> bool:
    return not ours.same(theirs) if ours else theirs is not None


class Patience:
    """Patience that is used up once, however many rows need it."""

    def __init__(self, seconds: float) -> None:
        self.left = seconds
        self.next = FIRST_WAIT

    def more(self) -> bool:
        """Wait a little; False when there is no patience left."""
        if self.left <= 0:
            return False
        seconds = min(self.next, self.left)
        time.sleep(seconds)  # what is waited for happens in other processes, which give no sign
        self.left -= seconds
        self.next = min(2 * self.next, LONGEST_WAIT)
        return True


def judge(
    source: SourceClient,
    kept: CopyReader,
    suspects: Sequence[str],
    wait: Patience,
    found: SyncResult,
    *,
    mend: bool,
) -> None:
    """Look at suspects again and again: what arrives meanwhile differs no more, the rest is counted."""
    standing = settled(source, kept, suspects, wait)
    if mend:
        found.mended += write(kept, source, standing.values())
        standing = {k: pair for k, pair in read(source, kept, list(standing)).items() if differs(*pair)}
    found.differing += len(standing)
    found.keys += sorted(standing)[: MAX_SHOWN_KEYS - len(found.keys)]


def settled(
    source: SourceClient, kept: CopyReader, suspects: Sequence[str], wait: Patience
) -> dict[str, Pair]:
    """Those of the suspects that differ for good, or longer than there is patience."""
    certain, open_ = dict[str, Pair](), dict[str, Pair]()
    first = dict[str, int]()
    keys = list(suspects)
    while keys:
        for key, (ours, theirs) in read(source, kept, keys).items():
            open_.pop(key, None)
            if not differs(ours, theirs):
                continue
            if not may_arrive(ours, theirs):
                certain[key] = (ours, theirs)
                continue
            # A row that changes all the time need not be caught up with: what was there at first has to come.
            assert theirs
            wanted = first.setdefault(key, theirs.version)
            if ours is None or ours.version < wanted:
                open_[key] = (ours, theirs)
        keys = list(open_)
        if not keys or not wait.more():
            break
    return certain | open_


def may_arrive(ours: RowVersion | None, theirs: RowVersion | None) -> bool:
    """Whether an event that is under way can make them equal: ours was read first, and the source never forgets."""
    return theirs is not None and (ours is None or ours.version < theirs.version)


def read(source: SourceClient, kept: CopyReader, keys: Sequence[str]) -> dict[str, Pair]:
    ours = kept.of(keys)
    theirs = source.rows_of(keys)
    return {key: (ours.get(key), theirs.get(key)) for key in keys}


def write(kept: CopyReader, source: SourceClient, pairs: Iterable[Pair]) -> int:
    """Write what differs, and return how many rows that are."""
    wrong = [pair for pair in pairs if differs(*pair)]
    for some in grouping.split_chunks(wrong, PIECE):
        store.replace_rows(source.copy, some)
    return len(wrong)
