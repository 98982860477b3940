"""A source's recovery: the copies of others prove what its restored database lost of a published table.

They hold the newer versions as long as the source is being recovered; afterwards they go back to what it has.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from celery_config.contracts.base import decode
from celery_config.copies.models import FINAL_VERSION
from celery_config.copies.ranges import RowVersion
from celery_config.copies.readers import SourceReader
from celery_config.copies.registry import publications
from celery_config.http.service_client import ServiceClient


@dataclass(frozen=True)
class NewerRow:
    """A row of which a copy has a newer version than its source.

    Args:
        values: by field, as far as the copy keeps them; None: it was deleted.
        ours: the version here; 0 if the row is missing.
    """

    key: str
    version: int
    values: dict[str, Any] | None
    ours: int

    @property
    def is_erased(self) -> bool:
        return self.version == FINAL_VERSION


@dataclass(frozen=True)
class _Page:
    fields: tuple[str, ...]
    rows: tuple[RowVersion, ...]
    more: bool


def find_newer(service: str, copy: str, publication: str) -> Iterator[NewerRow]:
    """The rows of a copy that are newer than those of our publication.

    Args:
        service: keeps the copy.

    Raises:
        ServiceCallError: it does not answer.
    """
    source, peer, after = SourceReader(publications[publication], ()), ServiceClient(service), ""
    while True:
        start = f"?after={quote(after)}" if after else ""
        page = decode(_Page, peer.get(f"/api/copies/{copy}/{start}"))
        ours = source.read_keys([row.key for row in page.rows])
        for row in page.rows:
            here = ours[row.key].version if row.key in ours else 0
            if row.version > here:
                values = None if row.values is None else dict(zip(page.fields, row.values, strict=True))
                yield NewerRow(row.key, row.version, values, here)
        if not page.more:
            return
        after = page.rows[-1].key
