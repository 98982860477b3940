"""`./manage.py shipment reconcile`"""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from rich.console import Console
from rich.table import Column, Table

from shipment_app.carriers import CarrierError
from shipment_app.reconciliation import compare_books

PIPED_WIDTH = 200


class Command(BaseCommand):
    help = "Compare the carrier's books with ours; exit 1 when they differ."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--days", type=float, help="only the last DAYS days (default: everything)")

    def handle(self, *args: Any, **options: Any) -> None:
        days = options["days"]
        try:
            result = compare_books(since=None if days is None else timezone.now() - timedelta(days=days))
        except CarrierError as error:
            raise CommandError(
                f"The carrier's books cannot be read ({error}). Is it up, and its address right?",
                returncode=2,
            ) from error
        # Piped into a file or a log, an id must not be broken over lines.
        width = None if self.stdout.isatty() else PIPED_WIDTH
        console = Console(file=self.stdout, width=width)  # type: ignore[arg-type]
        if result.findings:
            ids = (Column(name, overflow="fold") for name in ("carrier's id", "order"))
            table = Table("what", *ids, "difference")
            for finding in result.findings:
                table.add_row(
                    finding.kind.value, finding.id, str(finding.order or "none of ours"), finding.detail
                )
            console.print(table)
        console.print(
            f"reconcile: {result.checked} shipments checked, {result.under_way} under way,"
            f" {len(result.findings)} differences"
        )
        if result.findings:
            sys.exit(1)
