"""The daily sweep (rule 8, effects outside) compares the other side's books with ours and reports every difference."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar

import structlog
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, InterfaceError, connection
from django.utils import timezone
from prometheus_client import Gauge
from rich.console import Console
from rich.table import Column, Table

from celery_config.messaging.outbox.relay import Duty
from celery_config.reconciliation.comparison import Finding, FindingKind

log = structlog.get_logger(__name__)
DAY_SECONDS = 24 * 3600.0
# A saga runs for a day and some hours, and an authorization lives for a week. Older entries do not change.
REACHES_BACK = timedelta(days=8)
# A relay that has just started publishes its outbox first.
FIRST_AFTER_SECONDS = 300.0
PIPED_WIDTH = 200
DIFFERENCES = Gauge("order_saga_book_differences", "Differences found by the last sweep.", ["books", "kind"])
SWEPT_AT = Gauge("order_saga_books_swept_timestamp_seconds", "When the books were last compared.", ["books"])


@dataclass(frozen=True)
class Comparison:
    """What was found. Orders `under_way` were not judged: a call was open, or their rows changed at the same time."""

    checked: int
    under_way: int
    findings: list[Finding]


def describe_finding(finding: Finding) -> str:
    """A difference in one line."""
    return f"{finding.kind} {finding.id} (order {finding.order or 'none of ours'}): {finding.detail}"


@dataclass(frozen=True)
class ReconciliationSource:
    """The books of the other side.

    Args:
        owner: `provider`, `carrier`.
        entries: what the books hold: `authorizations`, `shipments`.
        compare: compares the entries made since a moment, or all, with ours; raises `errors` when it cannot.
    """

    owner: str
    entries: str
    compare: Callable[[datetime | None], Comparison]
    errors: tuple[type[Exception], ...]

    def compare_last(self, days: float | None) -> Comparison:
        """Compare the entries of the last days, or all."""
        return self.compare(None if days is None else timezone.now() - timedelta(days=days))

    def sweep(self) -> None:
        """Compare the last days, log every difference, and set the metrics; log an error if that fails."""
        expected: tuple[type[Exception], ...] = (*self.errors, DatabaseError, InterfaceError)
        try:
            result = self.compare(timezone.now() - REACHES_BACK)
        except expected as error:
            log.error(
                "books could not be compared; the next sweep tries again", books=self.owner, error=repr(error)
            )
            return
        finally:
            connection.close()
        for finding in result.findings:
            log.error("books differ", books=self.owner, difference=describe_finding(finding))
        counted = Counter(finding.kind for finding in result.findings)
        for kind in FindingKind:
            DIFFERENCES.labels(self.owner, kind.value).set(counted[kind])
        SWEPT_AT.labels(self.owner).set_to_current_time()
        log.info("books compared", books=self.owner, checked=result.checked, differences=len(result.findings))

    def start_sweep(self) -> None:
        """Sweep in a thread of its own, so that slow books do not delay the relay's publishing."""
        threading.Thread(target=self.sweep, name=f"{self.owner}-sweep", daemon=True).start()

    def duties(self) -> list[Duty]:
        """For the setting RELAY_DUTIES."""
        first_at = time.monotonic() + FIRST_AFTER_SECONDS
        return [Duty(f"{self.owner} sweep", self.start_sweep, DAY_SECONDS, next_at=first_at)]


class ReconcileCommand(BaseCommand):
    """The command `reconcile` for these `books`: exit 1 when they differ, 2 when they cannot be read."""

    books: ClassVar[ReconciliationSource]

    @property
    def help(self) -> str:  # type: ignore[override]
        return f"Compare the {self.books.owner}'s books with ours; exit 1 when they differ."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--days", type=float, help="only the last DAYS days (default: everything)")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            result = self.books.compare_last(options["days"])
        except self.books.errors as error:
            raise CommandError(
                f"The {self.books.owner}'s books cannot be read ({error})."
                f" Is the {self.books.owner} running, and is its address right?",
                returncode=2,
            ) from error
        # In a file or log, an id must not be broken over two lines.
        width = None if self.stdout.isatty() else PIPED_WIDTH
        console = Console(file=self.stdout, width=width)  # type: ignore[arg-type]
        if result.findings:
            ids = (Column(name, overflow="fold") for name in (f"{self.books.owner}'s id", "order"))
            table = Table("what", *ids, "difference")
            for found in result.findings:
                table.add_row(found.kind.value, found.id, str(found.order or "none of ours"), found.detail)
            console.print(table)
        console.print(
            f"reconcile: {result.checked} {self.books.entries} checked, {result.under_way} under way,"
            f" {len(result.findings)} differences"
        )
        if result.findings:
            sys.exit(1)
