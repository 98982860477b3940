"""Asking the source of a copy: over its HTTP API, never by opening its database."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from celery_config.contracts.base import decode
from celery_config.copies.ranges import Piece, Range, RowVersion
from celery_config.copies.readers import KEYS_PER_REQUEST
from celery_config.copies.registry import Copy
from celery_config.http.service_client import SECONDS, ServiceClient


@dataclass(frozen=True)
class RowChange:
    """A change of a row at the source."""

    cursor: str
    key: str
    version: int
    age: float
    """Seconds, by the source's clock."""


@dataclass(frozen=True)
class ChangePage:
    """Changes in the order in which they became visible."""

    changes: tuple[RowChange, ...]
    cursor: str
    """What to ask after next, once all of these are known."""


class SourceClient:
    """The source of one copy. Every question raises PeerError when there is no answer."""

    def __init__(self, copy: Copy, peer: ServiceClient) -> None:
        self.copy = copy
        self.peer = peer
        self.path = f"/api/published/{copy.source}"

    def ask(self, what: str, kind: Any, **body: Any) -> Any:
        return decode(kind, self.peer.post(f"{self.path}/{what}/", {"fields": self.copy.fields, **body}))

    def count(self) -> int:
        """How many rows and tombstones there are."""
        return int(self.peer.get(f"{self.path}/")["rows"])

    def pieces(self, ranges: Sequence[Range], size: int, most: int) -> list[list[Piece]]:
        """Each range in at most `most` pieces of `size` rows; the rest of a range is to be asked for again."""
        asked = [{"after": each.after, "upto": each.upto} for each in ranges]
        answer: list[list[Piece]] = self.ask("pieces", list[list[Piece]], ranges=asked, size=size, most=most)
        return answer

    def rows_between(self, each: Range, most: int) -> list[RowVersion]:
        """The first `most` entries of a range."""
        asked = {"after": each.after, "upto": each.upto}
        found: list[RowVersion] = self.ask("rows", list[RowVersion], range=asked, most=most)
        return found

    def rows_of(self, keys: Collection[str]) -> dict[str, RowVersion]:
        """The entries with these keys, those that there are."""
        wanted, found = sorted(keys), dict[str, RowVersion]()
        for start in range(0, len(wanted), KEYS_PER_REQUEST):
            some: list[RowVersion] = self.ask(
                "rows", list[RowVersion], keys=wanted[start : start + KEYS_PER_REQUEST]
            )
            found |= {entry.key: entry for entry in some}
        return found

    def changes(self, after: str) -> ChangePage:
        """What changed after a cursor; some of it, if it is much."""
        answer: ChangePage = decode(ChangePage, self.peer.get(f"{self.path}/changes/?after={after}"))
        return answer


@contextmanager
def open_source(copy: Copy, seconds: float = SECONDS) -> Iterator[SourceClient]:
    """
    Args:
        seconds: how long to wait for an answer.
    """
    with ServiceClient(copy.service, seconds) as peer:
        yield SourceClient(copy, peer)
