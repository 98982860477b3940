"""`./manage.py order import_orders FILE`"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.table import Table

from celery_config.common.console import progress_bars
from celery_config.errors import SagaPaused
from celery_config.http.service_client import ServiceCallError
from order_project.domain import Flow
from order_project.importing import invoices, service
from order_project.importing.invoices import Fault


class Command(BaseCommand):
    help = "Place one order for each clean invoice of a file; dirty ones go to a report."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument(
            "--stock",
            choices=["per-sku", "unlimited"],
            default="unlimited",
            help="opening stock of every product",
        )
        parser.add_argument(
            "--quantity", type=int, default=500, help="units of each product with --stock per-sku"
        )
        parser.add_argument("--token", default="tok_approved", help="payment token of every order")
        parser.add_argument(
            "--flow",
            choices=[flow.value for flow in Flow],
            default=Flow.ORCHESTRATED.value,
            help="who sees to it that the orders are carried out",
        )
        parser.add_argument("--report", type=Path, help="where refused invoices are listed (CSV)")
        parser.add_argument(
            "--patience", type=float, default=120, help="seconds without progress before giving up"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        console = Console()
        file = self.parse(options["file"])
        products = list(file.products.values())
        opening = service.UNLIMITED if options["stock"] == "unlimited" else options["quantity"]
        try:
            with progress_bars(console) as bar:
                copied = bar.add_task("catalogue", total=len(products))
                service.upload_catalogue(products, opening=opening)
                service.wait_for_copy(
                    products, lambda n: bar.update(copied, completed=n), patience=options["patience"]
                )
                placing = bar.add_task("placing", total=len(file.clean))
                placement = service.place_invoices(
                    file.clean,
                    token=options["token"],
                    progress=lambda n: bar.update(placing, completed=n),
                    flow=Flow(options["flow"]),
                )
                ending = bar.add_task("finishing", total=len(placement.orders))
                counted = service.wait_for_ends(
                    placement.orders, lambda n: bar.update(ending, completed=n), patience=options["patience"]
                )
        except (ServiceCallError, SagaPaused, service.Stalled) as error:
            raise CommandError(str(error)) from error
        faults = file.faults + placement.faults
        report = options["report"] or settings.VAR / "import_orders-report.csv"
        write_report(report, faults)
        show(console, counted, faults, report, placement.repeated)
        rejected = len(file.invoices) - len(placement.orders)
        self.stdout.write(
            f"import: {len(file.invoices)} invoices, {len(placement.orders)} accepted, {rejected} rejected"
        )

    def parse(self, path: Path) -> invoices.InvoiceFile:
        try:
            with path.open(encoding="utf-8-sig", newline="") as lines:
                return invoices.read_invoices(lines)
        except OSError as error:
            raise CommandError(f"{path} cannot be read: {error.strerror}.") from error
        except UnicodeDecodeError as error:
            raise CommandError(f"{path} is not UTF-8 ({error}); convert it first.") from error
        except (invoices.NotAnInvoiceFile, csv.Error) as error:
            raise CommandError(f"{path}: {error}") from error


def write_report(path: Path, faults: Sequence[Fault]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["line", "invoice", "code", "detail"])
        writer.writerows((f.line or "", f.invoice, f.code, f.detail) for f in faults)


def show(
    console: Console, counted: Counter[str], faults: Sequence[Fault], report: Path, repeated: int
) -> None:
    table = Table("outcome", "invoices")
    for outcome, count in counted.most_common():
        table.add_row(outcome, str(count), style="green" if outcome == "completed" else "yellow")
    first_faults = {fault.invoice: fault.code for fault in reversed(faults)}
    for code, count in Counter(first_faults.values()).most_common():
        table.add_row(f"rejected: {code}", str(count), style="red")
    console.print(table)
    if repeated:
        console.print(f"{repeated} invoices had been placed by an earlier run and were not placed again.")
    if faults:
        console.print(f"Why invoices were rejected, line by line: {report}")
