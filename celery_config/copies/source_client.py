"""The client of a copy's source: it calls the other service's HTTP API and never opens its database."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, TypeVar

from celery_config.common.grouping import split_chunks
from celery_config.copies.models import FINAL_VERSION
from celery_config.copies.ranges import Piece, Range, RowVersion
from celery_config.copies.readers import KEYS_PER_REQUEST
from celery_config.copies.registry import Copy, list_later_parts
from celery_config.http.service_client import SECONDS, ServiceCallError, ServiceClient, read_answer

T = TypeVar("T")


@dataclass(frozen=True)
class RowChange:
    """One change of a row at the source."""

    cursor: str
    key: str
    version: int
    age: float
    """Seconds, by the source's clock."""


@dataclass(frozen=True)
class ChangePage:
    """Changes in the order in which their transactions became visible."""

    changes: tuple[RowChange, ...]
    cursor: str
    """Where the next page begins."""
    epoch: str = ""
    """Of the source; a source of an older release names none."""
    recovering: bool = False
    """Whether the source was restored and is not yet what it should be."""


class SourceClient:
    """The source of one copy, as a `RowReader`.

    Every request raises ServiceCallError when the source does not answer, or with what was not asked for: one that
    repeats itself would have no end, and rows without number would fill the memory.
    """

    def __init__(self, copy: Copy, client: ServiceClient) -> None:
        self.copy = copy
        self.client = client
        self.path = f"/api/published/{copy.source}"

    def post(self, what: str, kind: type[T], **body: Any) -> T:
        wanted = {"fields": self.copy.fields, "known": sorted(list_later_parts(self.copy.changed))}
        return read_answer(
            self.copy.service, kind, self.client.post(f"{self.path}/{what}/", {**wanted, **body})
        )

    def check(self, is_sound: bool) -> None:
        if not is_sound:
            raise ServiceCallError(f"{self.copy.service} answered for {self.path} what was not asked for")

    def count_rows(self) -> int:
        """How many rows and tombstones the source has."""
        return read_answer(self.copy.service, RowCount, self.client.get(f"{self.path}/")).rows

    def fetch_pieces(self, ranges: Sequence[Range], size: int, most: int) -> list[list[Piece]]:
        """Each range in at most `most` pieces of `size` rows; ask again for the rest of a range."""
        bounds = [asdict(each) for each in ranges]
        fetched = self.post("pieces", list[list[Piece]], ranges=bounds, size=size, most=most)
        self.check(len(fetched) == len(ranges))
        for each, pieces in zip(ranges, fetched, strict=True):
            self.check(0 < len(pieces) <= most and ends_in_order(each, [piece.upto for piece in pieces]))
        return fetched

    def read_range(self, after: str | None, upto: str | None, most: int) -> list[RowVersion]:
        bounds = {"after": after, "upto": upto}
        rows = self.post("rows", list[RowVersion], range=bounds, most=most)
        self.check(len(rows) <= most and are_within(Range(after, upto), [row.key for row in rows]))
        self.check(all(map(is_possible, rows)))
        return rows

    def read_keys(self, keys: Collection[str]) -> dict[str, RowVersion]:
        found: dict[str, RowVersion] = {}
        for some in split_chunks(sorted(keys), KEYS_PER_REQUEST):
            rows = {row.key: row for row in self.post("rows", list[RowVersion], keys=some)}
            self.check(rows.keys() <= {*some} and all(map(is_possible, rows.values())))
            found |= rows
        return found

    def fetch_changes(self, after: str) -> ChangePage:
        """A page of the changes after a cursor."""
        return read_answer(
            self.copy.service, ChangePage, self.client.get(f"{self.path}/changes/?after={after}")
        )


@dataclass(frozen=True)
class RowCount:
    """How many rows a source has."""

    rows: int


def is_possible(row: RowVersion) -> bool:
    """Whether a source can have this row: the last of all versions is that of a row that is gone for good."""
    return row.version <= FINAL_VERSION and (row.values is None or row.version < FINAL_VERSION)


def are_within(whole: Range, keys: Sequence[str | None]) -> bool:
    """Whether these keys are of the range, and each is greater than the one before."""
    if not keys:
        return True
    known = [key for key in (whole.after, *keys) if key is not None]
    is_in_order = all(a < b for a, b in pairwise(known))
    return is_in_order and (whole.upto is None or known[-1] <= whole.upto)


def ends_in_order(whole: Range, ends: Sequence[str | None]) -> bool:
    """Whether pieces that end at these keys follow each other within the range; the last may be empty."""
    inner = ends[:-1] if ends[-1] == whole.upto else ends
    return None not in inner and are_within(whole, inner)


def open_source(copy: Copy, seconds: float = SECONDS) -> SourceClient:
    """
    Args:
        seconds: how long one request may take.
    """
    return SourceClient(copy, ServiceClient(copy.service, seconds))
