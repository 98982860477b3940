"""The reader of invoice files (UCI's "Online Retail"): one faulty row refuses each invoice that may lack it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from celery_config.common.visible_text import is_visible
from order_project import domain
from order_project.domain import CatalogueEntry, RequestLine
from order_project.importing.cells import (
    find_customer_fault,
    find_faults,
    minor_units,
    understand_cells,
    whole_number,
)
from order_project.importing.certainty import SHAPE, Entry, Gap, are_together, find_gaps, judge_numbers
from order_project.importing.countries import find_country_code
from order_project.importing.table import Row, Table, read_table

COLUMNS = ("InvoiceNo", "StockCode", "Description", "Quantity", "UnitPrice", "CustomerID", "Country")
CURRENCY = "GBP"
GRAMS_EACH = 20


@dataclass(frozen=True)
class Fault:
    """Why an invoice is refused; `line` is where its row begins, the file's first being 1.

    `invoice` is empty where a row does not say with certainty whose it is.
    """

    line: int
    invoice: str
    code: str
    detail: str


@dataclass(frozen=True)
class Product:
    """`price` in minor units of `CURRENCY`."""

    sku: str
    name: str
    price: int


@dataclass
class Invoice:
    """`file_lines`: how many of the file's lines its rows take."""

    number: str
    customer: str = ""
    country: str = ""
    lines: list[RequestLine] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    file_lines: int = 0

    @property
    def total(self) -> int:
        """What the invoice says that it costs, in minor units."""
        return sum(line.quantity * (line.unit_price or 0) for line in self.lines)


@dataclass(frozen=True)
class InvoiceFile:
    """`strays`: the faults of rows without a certain invoice number, which take `stray_lines` lines, in these `gaps`.

    `products` are those of the clean invoices. `is_grouped`: each invoice's rows stand together.
    """

    table: Table
    invoices: list[Invoice]
    products: dict[str, Product]
    strays: list[Fault]
    stray_lines: int
    gaps: list[Gap]
    is_grouped: bool

    @property
    def clean(self) -> list[Invoice]:
        return [invoice for invoice in self.invoices if not invoice.faults]

    @property
    def faults(self) -> list[Fault]:
        faults = [fault for invoice in self.invoices for fault in invoice.faults]
        return sorted(faults + self.strays, key=lambda fault: fault.line)

    @property
    def empty_lines(self) -> int:
        """The lines that are in no row, after the header."""
        rows = sum(invoice.file_lines for invoice in self.invoices) + self.stray_lines
        return len(self.table.lines) - self.table.header.lines - rows


def read_invoices(data: bytes, encoding: str | None = None) -> InvoiceFile:
    """Read an invoice file into invoices and products.

    A product's price is the first one in the rows of clean invoices.

    Args:
        encoding: default: recognised.

    Raises:
        NotATable: it is not text, or a column is missing or there twice.
    """
    table = read_table(data, COLUMNS, encoding)
    entries = read_entries(table)
    judge_numbers(entries)
    invoices: dict[str, Invoice] = {}
    for entry in entries:
        if entry.is_certain:
            add_entry(invoices.setdefault(entry.number, Invoice(entry.number)), entry)
    gaps = find_gaps(entries)
    for gap in gaps:
        for number in gap.beside:
            detail = f"without a certain invoice number, {gap} may belong to this invoice"
            invoices[number].faults.append(Fault(gap.first, number, "neighbour_unreadable", detail))
    for invoice in invoices.values():
        if not invoice.faults:
            invoice.faults += find_order_faults(invoice)
    products: dict[str, Product] = {}
    for entry in entries:
        if entry.is_certain and not invoices[entry.number].faults:
            products.setdefault(entry.values["StockCode"], read_product(entry.values))
    strays = [entry for entry in entries if not entry.is_certain]
    return InvoiceFile(
        table,
        list(invoices.values()),
        products,
        strays=[Fault(e.line, "", code, detail) for e in strays for code, detail in e.faults.items()],
        stray_lines=sum(entry.lines for entry in strays),
        gaps=gaps,
        is_grouped=are_together(entries),
    )


def read_entries(table: Table) -> list[Entry]:
    """Read every row that is not empty, with the faults that it has by itself."""
    places = {name: table.header.names.index(name) for name in COLUMNS}
    decimal_comma = table.header.delimiter != ","
    entries = []
    for row in table.rows:
        if row.is_empty and not row.fault:
            continue
        said = {name: read_cell(row, at) for name, at in places.items()}
        unreadable = find_row_fault(row, len(table.header.names), max(places.values()))
        values = understand_cells(said, decimal_comma=decimal_comma)
        faults = dict([unreadable] if unreadable else find_faults(values, said))
        entries.append(Entry(row.line, row.lines, values, faults))
    return entries


def add_entry(invoice: Invoice, entry: Entry) -> None:
    """Add a row to its invoice: a line, or the reasons why there is none."""
    values, invoice.file_lines = entry.values, invoice.file_lines + entry.lines
    faults = dict(entry.faults)
    if SHAPE.isdisjoint(faults):
        faults |= find_conflicts(values, invoice)
    invoice.faults += [Fault(entry.line, invoice.number, code, detail) for code, detail in faults.items()]
    if not faults:
        invoice.customer = values["CustomerID"]
        invoice.country = find_country_code(values["Country"]) or ""
        invoice.lines.append(
            RequestLine(
                sku=values["StockCode"],
                quantity=whole_number(values["Quantity"]) or 0,
                unit_price=minor_units(values["UnitPrice"]),
            )
        )


def read_cell(row: Row, at: int) -> str:
    return row.cells[at].strip() if at < len(row.cells) else ""


def find_row_fault(row: Row, width: int, last: int) -> tuple[str, str] | None:
    """Return the code and detail of what makes the whole row unreadable. `last`: the last cell that is needed."""
    if row.fault:
        return "bad_row", row.fault
    if not last < len(row.cells) <= width:
        return "wrong_cells", f"the row has {len(row.cells)} cells, and the header {width}"
    return None


def read_product(row: dict[str, str]) -> Product:
    """Return the product of a faultless row."""
    name = row["Description"] if is_visible(row["Description"]) else row["StockCode"]
    return Product(row["StockCode"], name, minor_units(row["UnitPrice"]) or 0)


def find_conflicts(row: dict[str, str], invoice: Invoice) -> Iterator[tuple[str, str]]:
    """Yield the code and detail of what a row says otherwise than the rows of its invoice before it."""
    customer, country = row["CustomerID"], find_country_code(row["Country"])
    if invoice.customer and customer not in ("", invoice.customer) and not find_customer_fault(customer):
        yield "two_customers", f"the invoice names {invoice.customer} and {customer}"
    if invoice.country and country and country != invoice.country:
        yield "two_countries", f"the invoice names {invoice.country} and {country}"


def find_order_faults(invoice: Invoice) -> list[Fault]:
    """Return why the order service would refuse the invoice whatever its catalogue has.

    Found here, since a refused invoice brings no products.
    """
    lines = domain.merge_request_lines(invoice.lines)
    catalogue = {line.sku: CatalogueEntry(line.sku, "", 0, CURRENCY, GRAMS_EACH, True) for line in lines}
    faults = domain.find_faults(lines, catalogue, CURRENCY)
    return [Fault(0, invoice.number, fault.code, fault.detail) for fault in faults]
