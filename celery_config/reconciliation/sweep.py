"""The daily comparison of somebody's books with ours (rule 8): as a duty of the relay, and as a command."""

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
# A saga is driven for a day and some hours and an authorization lives a week; what is older rests.
REACHES_BACK = timedelta(days=8)
# A relay that just started has its outbox to publish; it sweeps a little later.
FIRST_AFTER_SECONDS = 300.0
PIPED_WIDTH = 200
DIFFERENCES = Gauge("order_saga_book_differences", "Differences found by the last sweep.", ["books", "kind"])
SWEPT_AT = Gauge("order_saga_books_swept_timestamp_seconds", "When the books were last compared.", ["books"])


@dataclass(frozen=True)
class Comparison:
    """What was found; `under_way` orders had a call open, or changed meanwhile, and were not judged."""

    checked: int
    under_way: int
    findings: list[Finding]


def describe_finding(finding: Finding) -> str:
    """One line about a difference."""
    return f"{finding.kind} {finding.id} (order {finding.order or 'none of ours'}): {finding.detail}"


@dataclass(frozen=True)
class ReconciliationSource:
    """Somebody's books.

    Args:
        whose: `provider`, `carrier`.
        entries: what they hold: `authorizations`, `shipments`.
        compare: compares them with ours, those made since a moment or all, and raises `errors` when it cannot.
    """

    whose: str
    entries: str
    compare: Callable[[datetime | None], Comparison]
    errors: tuple[type[Exception], ...]

    def sweep(self) -> None:
        """Compare the last days, log every difference, set the metrics; when it cannot, log why."""
        expected: tuple[type[Exception], ...] = (*self.errors, DatabaseError, InterfaceError)
        try:
            result = self.compare(timezone.now() - REACHES_BACK)
        except expected as error:
            log.error(
                "books could not be compared; the next sweep tries again", books=self.whose, error=repr(error)
            )
            return
        finally:
            connection.close()
        for finding in result.findings:
            log.error("books differ", books=self.whose, difference=describe_finding(finding))
        counted = Counter(finding.kind for finding in result.findings)
        for kind in FindingKind:
            DIFFERENCES.labels(self.whose, kind.value).set(counted[kind])
        SWEPT_AT.labels(self.whose).set_to_current_time()
        log.info("books compared", books=self.whose, checked=result.checked, differences=len(result.findings))

    def start_sweep(self) -> None:
        """Sweep in a thread of its own: whoever is slow must not hold back what the relay publishes."""
        threading.Thread(target=self.sweep, name=f"{self.whose}-sweep", daemon=True).start()

    def duties(self) -> list[Duty]:
        """For RELAY_DUTIES."""
        first_at = time.monotonic() + FIRST_AFTER_SECONDS
        return [Duty(f"{self.whose} sweep", self.start_sweep, DAY_SECONDS, next_at=first_at)]


class ReconcileCommand(BaseCommand):
    """`reconcile` of a service that keeps `books`: exit 1 when they differ, 2 when they cannot be read."""

    books: ClassVar[ReconciliationSource]

    @property
    def help(self) -> str:  # type: ignore[override]
        return f"Compare the {self.books.whose}'s books with ours; exit 1 when they differ."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--days", type=float, help="only the last DAYS days (default: everything)")

    def handle(self, *args: Any, **options: Any) -> None:
        days = options["days"]
        try:
            result = self.books.compare(None if days is None else timezone.now() - timedelta(days=days))
        except self.books.errors as error:
            raise CommandError(
                f"The {self.books.whose}'s books cannot be read ({error}). Is it up, and its address right?",
                returncode=2,
            ) from error
        # Piped into a file or a log, an id must not be broken over lines.
        width = None if self.stdout.isatty() else PIPED_WIDTH
        console = Console(file=self.stdout, width=width)  # type: ignore[arg-type]
        if result.findings:
            ids = (Column(name, overflow="fold") for name in (f"{self.books.whose}'s id", "order"))
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
