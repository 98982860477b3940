"""The data map of a service: one transaction erases a customer's personal data, and the audit finds any residue."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property, partial
from uuid import UUID

from django.db import InterfaceError, OperationalError, transaction
from django.db.models import Q

from celery_config.common.grouping import join_some
from celery_config.common.isolation import run_isolated
from celery_config.contracts.values import Counted
from celery_config.copies.models import FINAL_VERSION, CopiedRow
from celery_config.copies.registry import Copy, copies
from celery_config.copies.retirement import tombstone_rows
from celery_config.copies.store import tombstone_values
from celery_config.db import functions
from celery_config.erasure.locations import DataLocation
from celery_config.erasure.tombstones import mark_erased, read_all_erased
from celery_config.messaging import database_gate
from celery_config.messaging.models import BarrierRow, IdempotencyKey, OutboxMessage

MAX_SHOWN = 3
TASK, EVENT = Q(kind=OutboxMessage.Kind.TASK), Q(kind=OutboxMessage.Kind.EVENT)
# The orders have ended, so none of their tasks has to be published. Events stay for the readers of the feed.
MESSAGE_LOCATIONS = (
    DataLocation(BarrierRow, by=("saga",), blank={"last_error": ""}, redact=("request", "reply")),
    DataLocation(OutboxMessage, by=("saga", "payload__kwargs__subject"), where=TASK, delete=True),
    DataLocation(OutboxMessage, by=("saga",), where=EVENT, redact=("payload",)),
    # The digest of the key stays: a late repeat of a refund is refused, and makes no second one.
    DataLocation(IdempotencyKey, by=("subject",), blank={"request_hash": "", "made": "", "subject": None}),
)


@dataclass(frozen=True)
class Receipt:
    """How many rows of each table a service has erased, and when."""

    rows: dict[str, int]
    at: datetime

    @property
    def counts(self) -> tuple[Counted, ...]:
        """In the form of a reply."""
        return tuple(Counted(table=table, rows=rows) for table, rows in self.rows.items())


class RowsHeld(Exception):
    """The database answers, and did not give the rows in time: somebody else holds them."""


@dataclass(frozen=True)
class ErasedResidue:
    """What was blanked or deleted again: the number of rows of each table; and what could not be, in words."""

    rows: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)

    def erase(self, location: DataLocation, ids: Sequence[UUID]) -> int:
        """Blank the rows about these ids, all or none."""
        try:
            with transaction.atomic():
                erased = location.erase(ids)
        except OperationalError as error:
            database_gate.drop_if_unusable()
            if database_gate.database_takes_writes():
                raise RowsHeld(str(error)) from error
            raise
        self.rows[location.name] += erased
        return erased

    def set_aside(self, location: DataLocation, id: UUID, error: Exception) -> None:
        # The lines below the first may show the row's data.
        reason, _, _ = str(error).partition("\n")
        self.failed.append(f"{location.name}, rows about {id}: {reason or type(error).__name__}")


@dataclass(frozen=True)
class DataMap:
    """The places where a service may hold personal data. Its messages are included."""

    locations: tuple[DataLocation, ...] = ()
    copy: type[CopiedRow] | None = None
    """The service's copy of customers."""

    @transaction.atomic(savepoint=False)
    def erase(self, customer: UUID, about: Collection[UUID]) -> Receipt:
        """Blank the customer's personal data for good. A repeat finds nothing more.

        Args:
            about: the ids of the customer's orders and of their sagas; all of them have ended.
        """
        ids = {customer, *about}
        mark_erased(ids)
        counts: dict[str, int] = {}
        if self.copy:
            counts[self.copy._meta.label] = tombstone_rows(self.kept_copy, [customer])
        for location in (*self.locations, *MESSAGE_LOCATIONS):
            counts[location.name] = counts.get(location.name, 0) + location.erase(ids)
        return Receipt(counts, functions.fetch_now())

    def find_residue(self) -> Iterator[str]:
        """Describe the personal data of erased customers that is left or has come back, a line for each table."""
        found: dict[str, list[str]] = {}
        for ids in read_all_erased():
            for location in self.all_locations():
                for row in location.rows_with_data(ids):
                    found.setdefault(location.name, []).append(str(row.pk))
        for name, rows in found.items():
            shown = join_some(rows, MAX_SHOWN)
            yield f"{len(rows)} rows of {name} hold personal data of an erased customer: {shown}"

    def erase_residue(self) -> ErasedResidue:
        """Blank what `find_residue` finds. What cannot be blanked of one id and table stops nothing else.

        Raises:
            OperationalError, InterfaceError: the database is away.
        """
        done = ErasedResidue()
        for ids in read_all_erased():
            for location in self.all_locations():
                run_isolated(
                    ids,
                    partial(done.erase, location),
                    partial(done.set_aside, location),
                    passed_on=(OperationalError, InterfaceError),
                )
        return done

    def all_locations(self) -> Iterator[DataLocation]:
        yield from self.locations
        yield from MESSAGE_LOCATIONS
        if self.copy:
            tombstone = {**tombstone_values(self.kept_copy), "deleted": True, "version": FINAL_VERSION}
            yield DataLocation(self.copy, by=("pk",), blank=tombstone)

    @cached_property
    def kept_copy(self) -> Copy:
        return next(copy for copy in copies.values() if copy.model is self.copy)
