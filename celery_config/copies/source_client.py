"""The client of a copy's source: it calls the other service's HTTP API and never opens its database."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from celery_config.common.grouping import split_chunks
from celery_config.contracts.base import decode
from celery_config.copies.ranges import Piece, Range, RowVersion
from celery_config.copies.readers import KEYS_PER_REQUEST
from celery_config.copies.registry import Copy, list_later_parts
from celery_config.http.service_client import SECONDS, ServiceClient

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

    Every request raises ServiceCallError when the source does not answer.
    """

    def __init__(self, copy: Copy, client: ServiceClient) -> None:
        self.copy = copy
        self.client = client
        self.path = f"/api/published/{copy.source}"

    def post(self, what: str, kind: type[T], **body: Any) -> T:
        wanted = {"fields": self.copy.fields, "known": sorted(list_later_parts(self.copy.changed))}
        return decode(kind, self.client.post(f"{self.path}/{what}/", {**wanted, **body}))

    def count_rows(self) -> int:
        """How many rows and tombstones the source has."""
        return int(self.client.get(f"{self.path}/")["rows"])

    def fetch_pieces(self, ranges: Sequence[Range], size: int, most: int) -> list[list[Piece]]:
        """Each range in at most `most` pieces of `size` rows; ask again for the rest of a range."""
        bounds = [asdict(each) for each in ranges]
        return self.post("pieces", list[list[Piece]], ranges=bounds, size=size, most=most)

    def read_range(self, after: str | None, upto: str | None, most: int) -> list[RowVersion]:
        bounds = {"after": after, "upto": upto}
        return self.post("rows", list[RowVersion], range=bounds, most=most)

    def read_keys(self, keys: Collection[str]) -> dict[str, RowVersion]:
        found: dict[str, RowVersion] = {}
        for some in split_chunks(sorted(keys), KEYS_PER_REQUEST):
            found |= {row.key: row for row in self.post("rows", list[RowVersion], keys=some)}
        return found

    def fetch_changes(self, after: str) -> ChangePage:
        """A page of the changes after a cursor."""
        return decode(ChangePage, self.client.get(f"{self.path}/changes/?after={after}"))


def open_source(copy: Copy, seconds: float = SECONDS) -> SourceClient:
    """
    Args:
        seconds: how long one request may take.
    """
    return SourceClient(copy, ServiceClient(copy.service, seconds))
