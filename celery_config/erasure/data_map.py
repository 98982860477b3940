"""What a service remembers of a person: forgotten in one transaction, looked for by the audit ever after."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from celery_config.contracts.values import Counted
from celery_config.copies.models import FINAL_VERSION, CopiedRow
from celery_config.copies.registry import Copy, copies
from celery_config.copies.retirement import tombstone_rows
from celery_config.copies.store import tombstone_values
from celery_config.db import functions
from celery_config.erasure.locations import DataLocation
from celery_config.erasure.tombstones import mark_erased, read_all_erased
from celery_config.messaging.models import BarrierRow, OutboxMessage

MAX_SHOWN = 3
# Of orders that have ended nothing has to be sent any more. An event stays where it is, for whoever reads the feed.
MESSAGE_LOCATIONS = (
    DataLocation(BarrierRow, by=("saga",), within=("request", "reply")),
    DataLocation(
        OutboxMessage,
        by=("saga", "payload__kwargs__subject"),
        where=Q(kind=OutboxMessage.Kind.TASK),
        gone=True,
    ),
    DataLocation(OutboxMessage, by=("saga",), where=Q(kind=OutboxMessage.Kind.EVENT), within=("payload",)),
)


@dataclass(frozen=True)
class Receipt:
    """What a service forgot: how many rows of which table said something, and when."""

    rows: dict[str, int]
    at: datetime

    @property
    def counted(self) -> tuple[Counted, ...]:
        """As a reply carries it."""
        return tuple(Counted(table=table, rows=rows) for table, rows in self.rows.items())


@dataclass(frozen=True)
class DataMap:
    """Where a service may know something of a person; its messages are known here."""

    traces: tuple[DataLocation, ...] = ()
    copy: type[CopiedRow] | None = None
    """Its copy of customers."""

    @transaction.atomic(savepoint=False)
    def forget(self, customer: UUID, about: Collection[UUID]) -> Receipt:
        """Blank what is known of a customer, for good. Repeats find nothing more, and are harmless.

        Args:
            about: the ids of their orders, and of the sagas that carried those. None of them is under way.
        """
        ids = {customer, *about}
        mark_erased(ids)
        counts: dict[str, int] = {}
        if self.copy:
            counts[self.copy._meta.label] = tombstone_rows(self.kept(self.copy), [customer])
        for trace in (*self.traces, *MESSAGE_LOCATIONS):
            counts[trace.name] = counts.get(trace.name, 0) + trace.forget(ids)
        return Receipt(counts, functions.fetch_now())

    def find_residue(self) -> Iterator[str]:
        """Whatever is still, or again, known of people who were forgotten, in words."""
        found: dict[str, list[str]] = {}
        for ids in read_all_erased():
            for trace in self.all_traces():
                for row in trace.rows_with_data(ids):
                    found.setdefault(trace.name, []).append(str(row.pk))
        for name, rows in found.items():
            named = ", ".join(rows[:MAX_SHOWN]) + (", …" if len(rows) > MAX_SHOWN else "")
            yield f"{len(rows)} rows of {name} still tell of somebody who was forgotten: {named}"

    def mend(self) -> dict[str, int]:
        """Blank what `leftovers` finds; return how many rows of which table that were."""
        counts: Counter[str] = Counter()
        for ids in read_all_erased():
            with transaction.atomic():
                for trace in self.all_traces():
                    counts[trace.name] += trace.forget(ids)
        return dict(+counts)

    def all_traces(self) -> Iterator[DataLocation]:
        yield from self.traces
        yield from MESSAGE_LOCATIONS
        if self.copy:
            tomb = {**tombstone_values(self.kept(self.copy)), "deleted": True, "version": FINAL_VERSION}
            yield DataLocation(self.copy, by=("pk",), blank=tomb)

    def kept(self, model: type[CopiedRow]) -> Copy:
        return next(copy for copy in copies.values() if copy.model is model)
