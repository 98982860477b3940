"""The daily reconciliation (rule 8, effects outside): no effect outside stays unknown to us for more than a day.

A duty of the relay and a command compare a source with our rows.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from functools import partial
from typing import Any, ClassVar

import structlog
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, InterfaceError
from prometheus_client import Gauge
from rich.console import Console
from rich.table import Column, Table

from celery_config.common import metrics
from celery_config.common.arguments import parse_days
from celery_config.common.console import show_text
from celery_config.messaging.observations import note
from celery_config.messaging.outbox.relay import BackgroundDuty, Duty
from celery_config.reconciliation.comparison import FindingKind
from celery_config.reconciliation.source import UNREADABLE, ReconciliationSource

log = structlog.get_logger(__name__)
# A saga runs for a day and some hours, and an authorization lives for a week. Older entries do not change.
REACHES_BACK_DAYS = 8
# A relay that has just started publishes its outbox first.
FIRST_AFTER_SECONDS = 300.0
PIPED_WIDTH = 200
BOOKS = "books"
DIFFERENCES = Gauge(
    "order_saga_book_differences",
    "Differences found by the last sweep.",
    ["books", "kind"],
    registry=metrics.RELAY,
)
SWEPT_AT = Gauge(
    "order_saga_books_swept_timestamp_seconds",
    "When the books were last compared; 0: never since this relay began.",
    ["books"],
    registry=metrics.RELAY,
)


def sweep(source: ReconciliationSource) -> None:
    """Compare the last days, log every difference and set the metrics; log the error when the source cannot be read."""
    try:
        result = source.compare(REACHES_BACK_DAYS)
    except (*UNREADABLE, DatabaseError, InterfaceError) as error:
        log.error(
            "books could not be compared; the next sweep tries again", books=source.name, error=repr(error)
        )
        return
    for finding in result.findings:
        log.error("books differ", books=source.name, difference=str(finding))
    counted = Counter(finding.kind for finding in result.findings)
    for kind in FindingKind:
        DIFFERENCES.labels(source.name, kind.value).set(counted[kind])
    SWEPT_AT.labels(source.name).set_to_current_time()
    note(BOOKS, {"books": source.name, "checked": result.checked, "differences": len(result.findings)})
    log.info("books compared", books=source.name, checked=result.checked, differences=len(result.findings))


def make_duties(source: ReconciliationSource) -> list[Duty]:
    """The daily sweep as a duty of the relay (RELAY_DUTIES)."""
    SWEPT_AT.labels(source.name).set(0)
    duty = BackgroundDuty(f"{source.name} sweep", partial(sweep, source))
    every = settings.BOOKS_CHECK_HOURS * 3600
    first_at = time.monotonic() + min(every, FIRST_AFTER_SECONDS)
    return [Duty(duty.name, duty.start, every, next_at=first_at)]


class ReconcileCommand(BaseCommand):
    """`reconcile` of a service with a `source`: exit 1 when they differ, 2 when the source cannot be read."""

    source: ClassVar[ReconciliationSource]

    @property
    def help(self) -> str:  # type: ignore[override]
        return f"Compare the {self.source.name}'s books with ours; exit 1 when they differ."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--days", type=parse_days, help="only the last DAYS days (default: everything)")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            result = self.source.compare(options["days"])
        except UNREADABLE as error:
            raise CommandError(
                f"The {self.source.name}'s books cannot be read ({error})."
                f" Is the {self.source.name} running, and is its address right?",
                returncode=2,
            ) from error
        # In a file or log, an id must not be broken over two lines.
        width = None if self.stdout.isatty() else PIPED_WIDTH
        console = Console(file=self.stdout, width=width)  # type: ignore[arg-type]
        if result.findings:
            ids = (Column(name, overflow="fold") for name in (f"{self.source.name}'s id", "order"))
            table = Table("what", *ids, "difference")
            for found in result.findings:
                cells = (found.kind.value, found.id, str(found.order or "none of ours"), found.detail)
                table.add_row(*map(show_text, cells))
            console.print(table)
        console.print(
            f"reconcile: {result.checked} {self.source.entries} checked, {result.under_way} under way,"
            f" {len(result.findings)} differences"
        )
        if result.findings:
            sys.exit(1)
