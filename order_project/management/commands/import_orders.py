"""`./manage.py order import_orders FILE`"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, TextIO

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from celery_config.common.arguments import parse_new_file, parse_path, parse_seconds, parse_whole_number
from celery_config.common.console import progress_bars
from celery_config.contracts.inventory import MAX_NAME, MAX_STOCK
from celery_config.http.service_client import ServiceCallError
from order_project.domain import Flow
from order_project.importing import invoices, report, service
from order_project.importing.invoices import Fault, InvoiceFile
from order_project.importing.service import Placement, Prices, Upload
from order_project.importing.source import STANDARD_INPUT, read_data
from order_project.importing.table import LEGACY, NotATable
from order_project.payment_tokens import LONGEST_TOKEN, is_payment_token

SOME_REJECTED, NOTHING_USABLE = 3, 4
"""Exit codes. 0: every invoice is in; 1: the import could not do its work; 2: wrong options."""
GAPS_SHOWN = 10


class Command(BaseCommand):
    help = "Place one order for each clean invoice of a file; dirty ones go to a report."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=parse_path, help="the invoices (CSV); - is standard input")
        parser.add_argument(
            "--stock",
            choices=["per-sku", "unlimited"],
            default="unlimited",
            help="opening stock of every product that is new",
        )
        parser.add_argument(
            "--quantity",
            type=read_quantity,
            default=500,
            help="units of each new product with --stock per-sku",
        )
        parser.add_argument(
            "--prices",
            choices=[prices.value for prices in Prices],
            default=Prices.INVOICE.value,
            help="of each line its own price, or the catalogue's",
        )
        parser.add_argument(
            "--token", type=read_token, default="tok_approved", help="payment token of every order"
        )
        parser.add_argument(
            "--flow",
            choices=[flow.value for flow in Flow],
            default=Flow.ORCHESTRATED.value,
            help="who sees to it that the orders are carried out",
        )
        parser.add_argument(
            "--encoding", type=read_encoding, help="of the file, such as cp1250; default: recognised"
        )
        parser.add_argument("--report", type=parse_new_file, help="where refused invoices are listed (CSV)")
        parser.add_argument(
            "--patience", type=parse_seconds, default=120, help="seconds without progress before giving up"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        console = Console()
        # What cannot be reported is not placed; and what an earlier run reported is gone, whatever comes of this one.
        with self.open_report(options["report"], options["file"]) as out:
            file = self.parse(options["file"], options["encoding"], out)
            placement, counted, upload = self.place(console, file, options, out)
            write_refusals(out, placement)
        show(console, counted, file.faults + placement.faults, out.name, placement.repeated)
        rejected = len(file.invoices) - len(placement.orders)
        if file.gaps:
            self.stdout.write(describe_gaps(file))
        self.stdout.write(describe_upload(upload))
        self.stdout.write(describe_lines(file, placement))
        self.stdout.write(describe_addresses(placement))
        self.stdout.write(describe_prices(file, placement))
        self.stdout.write(
            f"import: {len(file.invoices)} invoices, {len(placement.orders)} placed, {rejected} rejected"
        )
        if not placement.orders:
            raise SystemExit(NOTHING_USABLE)
        if rejected:
            raise SystemExit(SOME_REJECTED)

    def parse(self, path: Path, encoding: str | None, out: TextIO) -> InvoiceFile:
        """Read the file, and report its faults."""
        try:
            file = self.read(path, encoding)
            if not file.invoices and not file.strays:
                raise CommandError(f"{path}: The file has no invoices.", returncode=NOTHING_USABLE)
        except CommandError as error:
            write_before_placing(out, [Fault(0, "", "unusable_file", str(error))])
            raise
        write_before_placing(out, file.faults)
        return file

    def read(self, path: Path, encoding: str | None) -> InvoiceFile:
        try:
            file = invoices.read_invoices(read_data(path), encoding)
        except OSError as error:
            raise CommandError(
                f"{path} cannot be read: {error.strerror}.", returncode=NOTHING_USABLE
            ) from error
        except NotATable as error:
            raise CommandError(f"{path}: {error}", returncode=NOTHING_USABLE) from error
        if file.table.encoding == LEGACY and not encoding:
            self.stdout.write(
                f"{path} is not UTF-8; it is read as Windows-1252 (Latin-1). If it is another, say so with --encoding."
            )
        return file

    def open_report(self, path: Path | None, source: Path) -> TextIO:
        """Begin a new report."""
        source = Path("/dev/stdin") if source in STANDARD_INPUT else source
        try:
            if path:
                out, reason = report.open_report(path, source), ""
            else:
                out, reason = report.open_default_report(settings.VAR, source)
            report.write_header(out)
        except (OSError, report.NoPlace) as error:
            raise no_report(
                error, returncode=2 if path and isinstance(error, report.NoPlace) else 1
            ) from error
        if reason:
            self.stdout.write(reason)
        return out

    def place(
        self, console: Console, file: InvoiceFile, options: dict[str, Any], out: TextIO
    ) -> tuple[Placement, Counter[str], Upload]:
        """Upload the catalogue, place the orders and wait for their ends; return them, counted by outcome."""
        products, patience = list(file.products.values()), options["patience"]
        placement = Placement()
        opening = service.UNLIMITED if options["stock"] == "unlimited" else options["quantity"]
        try:
            with progress_bars(console) as bar:
                copied = bar.add_task("catalogue", total=len(products))
                upload = service.upload_catalogue(products, opening=opening)
                service.wait_for_copy(products, lambda n: bar.update(copied, completed=n), patience=patience)
                placing = bar.add_task("placing", total=len(file.clean))
                placement = service.place_invoices(
                    file.clean,
                    token=options["token"],
                    progress=lambda n: bar.update(placing, completed=n),
                    flow=Flow(options["flow"]),
                    prices=Prices(options["prices"]),
                )
                ending = bar.add_task("finishing", total=len(placement.orders))
                counted = service.wait_for_ends(
                    placement.orders, lambda n: bar.update(ending, completed=n), patience=patience
                )
        except (ServiceCallError, service.PlacingStopped, service.Stalled) as error:
            placement = getattr(error, "placement", placement)
            unplaced = service.list_unplaced(file.clean, placement, str(error))
            write_refusals(out, placement, unplaced)
            rejected = len(file.invoices) - len(placement.orders) - len(unplaced)
            self.stdout.write(
                f"import: {len(file.invoices)} invoices, {len(placement.orders)} placed, {rejected} rejected,"
                f" {len(unplaced)} not placed"
            )
            again = "Run the import again when this is mended: it places nothing twice."
            raise CommandError(f"{str(error).rstrip('.')}. {again}") from error
        return placement, counted, upload


def write_before_placing(out: TextIO, faults: Sequence[Fault]) -> None:
    try:
        report.write_faults(out, faults)
    except OSError as error:
        raise no_report(error) from error


def no_report(error: Exception, *, returncode: int = 1) -> CommandError:
    told = f"The report cannot be written, so nothing was placed: {error}. Choose a place with --report."
    return CommandError(told, returncode=returncode)


def write_refusals(out: TextIO, placement: Placement, unplaced: Sequence[Fault] = ()) -> None:
    try:
        report.write_faults(out, [*placement.faults, *unplaced])
    except OSError as error:
        refused = f"{len(placement.orders)} orders were placed, and {len(placement.faults)} refused"
        raise CommandError(f"{refused}, but the report cannot be written: {error}.") from error


def read_quantity(text: str) -> int:
    """Return the units of an opening stock.

    Raises:
        argparse.ArgumentTypeError: it is no whole number, less than none, or more than inventory books.
    """
    return parse_whole_number(text, most=MAX_STOCK)


def read_token(text: str) -> str:
    """Return a payment token.

    Raises:
        argparse.ArgumentTypeError: the API would not take it.
    """
    if not is_payment_token(text):
        raise argparse.ArgumentTypeError(
            f"{text!r:.100} is no payment token: 1 to {LONGEST_TOKEN} letters, digits and signs of ASCII, no space"
        )
    return text.strip()


def read_encoding(text: str) -> str:
    """Return the name of an encoding.

    Raises:
        argparse.ArgumentTypeError: Python has no such encoding of text.
    """
    try:
        b"text".decode(text)
    except UnicodeDecodeError:
        pass  # it is one, of other texts than this
    except (LookupError, UnicodeError) as error:
        raise argparse.ArgumentTypeError(
            f"there is no encoding {text!r:.100}: give one such as utf-8, utf-16 or latin-1"
        ) from error
    return text


def describe_gaps(file: InvoiceFile) -> str:
    """Say which rows have no certain invoice number, and whether their places tell whose they are."""
    rows = len({fault.line for fault in file.strays})
    refused = "the invoices beside them are rejected"
    if not file.is_grouped:
        refused += "; but rows of one invoice stand apart in this file, so they may belong to any other, too"
    where = ", ".join(map(str, file.gaps[:GAPS_SHOWN])) + (", …" if len(file.gaps) > GAPS_SHOWN else "")
    return f"rows: {rows} without a certain invoice number ({where}); {refused}"


def describe_upload(upload: Upload) -> str:
    """Say what became of the products of the file."""
    cut = f" ({upload.cut} with a name cut to {MAX_NAME} characters)" if upload.cut else ""
    return (
        f"products: {upload.new} new{cut}, {upload.existing} in inventory already and left as they are,"
        f" {upload.priced_differently} of these with another price"
    )


def describe_lines(file: InvoiceFile, placement: Placement) -> str:
    """Say where each line of the file went."""
    total, header = len(file.table.lines), file.table.header.lines
    placed = sum(invoice.file_lines for invoice in placement.accepted.values())
    rejected = total - header - file.empty_lines - placed
    return (
        f"lines: {total} in the file, {header} of the header, {placed} of placed invoices, {rejected} of rejected"
        f" ones, {file.empty_lines} empty"
    )


def describe_prices(file: InvoiceFile, placement: Placement) -> str:
    """Say how many orders cost something else than their invoices, and how much."""
    differences = service.find_differences(placement.accepted)
    more = Decimal(sum(each for each in differences if each > 0)) / 100
    less = Decimal(-sum(each for each in differences if each < 0)) / 100
    how_much = f": {more:,.2f} {invoices.CURRENCY} more and {less:,.2f} less in all" if differences else ""
    whose = "what was read of their invoices" if file.gaps and not file.is_grouped else "their invoices"
    return f"prices: {len(differences)} of {len(placement.orders)} orders differ from {whose}{how_much}"


def describe_addresses(placement: Placement) -> str:
    """Say how many orders have an address that a carrier may refuse."""
    incomplete, orders = service.count_incomplete(placement.orders), len(placement.orders)
    return f"addresses: {incomplete} of {orders} orders have an incomplete one; a carrier that needs more refuses"


def show(console: Console, counted: Counter[str], faults: Sequence[Fault], place: str, repeated: int) -> None:
    table = Table("outcome", "invoices")
    for outcome, count in counted.most_common():
        table.add_row(outcome, str(count), style="green" if outcome == "completed" else "yellow")
    first_faults = {fault.invoice: fault.code for fault in reversed(faults) if fault.invoice}
    for code, count in Counter(first_faults.values()).most_common():
        table.add_row(f"rejected: {code}", str(count), style="red")
    console.print(table)
    if repeated:
        console.print(f"{repeated} invoices had been placed by an earlier run and were not placed again.")
    if faults:
        console.print(f"Why invoices were rejected, line by line: {escape(place)}", soft_wrap=True)
