"""The reader of invoice files (UCI's "Online Retail"): one faulty row refuses each invoice that may lack it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal

from celery_config.common.visible_text import is_visible
from celery_config.contracts.inventory import MAX_PRICE, MAX_SKU, SKU_PATTERN
from order_project import domain
from order_project.domain import CatalogueEntry, RequestLine
from order_project.importing.certainty import SHAPE, Entry, Gap, are_together, find_gaps, judge_numbers
from order_project.importing.countries import find_country_code
from order_project.importing.table import Row, Table, read_table

COLUMNS = ("InvoiceNo", "StockCode", "Description", "Quantity", "UnitPrice", "CustomerID", "Country")
CURRENCY = "GBP"
GRAMS_EACH = 20
MAX_NUMBER = 64
NUL = "\0"
# A spreadsheet writes long numbers so, and their last digits are gone.
EXPONENT = r"[0-9]+([.,][0-9]+)?[eE][+-][0-9]+"
# Before what a spreadsheet is to take as text: ="536365", '536365; and a quote behind a space.
SPREADSHEET_MARK = r"""=|"|'(?=[0-9])"""
DIGITS_LOST = "its last digits are lost in exponent form; format the column as text, and save the file again"
# Binary fractions have more digits than the price that they stand for.
PENCE_TOLERANCE = Decimal("1e-6")


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
        values = {name: read_cell(row, at) for name, at in places.items()}
        values |= {name: drop_point_zero(values[name]) for name in ("InvoiceNo", "CustomerID")}
        if decimal_comma:
            values |= {name: use_decimal_point(values[name]) for name in ("Quantity", "UnitPrice")}
        unreadable = find_row_fault(row, len(table.header.names), max(places.values()))
        faults = dict([unreadable] if unreadable else find_faults(values))
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


def drop_point_zero(text: str) -> str:
    """Return a number as it was before a program took it for a fraction: customer 17850 becomes 17850.0 or 17850.00."""
    return re.sub(r"^([0-9]+)[.,]00?$", r"\1", text)


def use_decimal_point(text: str) -> str:
    """Return a number of a file with decimal commas.

    Three digits behind a comma or point may be thousands: such a number keeps its comma, with which it is none.
    """
    if re.fullmatch(r"[+-]?[0-9]{1,3}[.,][0-9]{3}", text):
        return text.replace(".", ",")
    return re.sub(r"^([+-]?[0-9]+),([0-9]+)$", r"\1.\2", text)


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


def find_faults(row: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the code and detail of every fault that one row has by itself."""
    quantity, price = whole_number(row["Quantity"]), minor_units(row["UnitPrice"])
    if not row["InvoiceNo"]:
        yield "missing_invoice", "the row has no invoice number"
    elif why := find_number_fault(row["InvoiceNo"]):
        yield "bad_invoice", f"{row['InvoiceNo']!r:.100} is no invoice number: {why}"
    if re.fullmatch("[cC][0-9]+", row["InvoiceNo"]):
        yield "credit_note", "a credit note is not an order"
    elif quantity is None:
        yield "bad_quantity", f"{row['Quantity']!r:.100} is not a whole number"
    elif quantity <= 0:
        yield "negative_quantity", f"the quantity is {quantity}"
    if not row["StockCode"]:
        yield "missing_product", "the row has no stock code"
    elif why := find_sku_fault(row["StockCode"]):
        yield "bad_product", f"{row['StockCode']!r:.100} is no SKU: {why}"
    if NUL in row["Description"]:
        yield "bad_description", f"{row['Description']!r:.100} has a NUL"
    if price is None:
        yield "bad_price", f"{row['UnitPrice']!r:.100} is not a price in whole pence, such as 2.55"
    elif price <= 0:
        yield "zero_price", f"the price is {row['UnitPrice']:.100}"
    elif price > MAX_PRICE:
        yield "bad_price", f"{row['UnitPrice']:.100} is beyond any price"
    if not row["CustomerID"]:
        yield "missing_customer", "the row has no customer"
    elif why := find_number_fault(row["CustomerID"]):
        yield "bad_customer", f"{row['CustomerID']!r:.100} is no customer: {why}"
    if find_country_code(row["Country"]) is None:
        yield "unknown_country", f"{row['Country']!r:.100} is no country"


def find_conflicts(row: dict[str, str], invoice: Invoice) -> Iterator[tuple[str, str]]:
    """Yield the code and detail of what a row says otherwise than the rows of its invoice before it."""
    customer, country = row["CustomerID"], find_country_code(row["Country"])
    if invoice.customer and customer not in ("", invoice.customer) and not find_number_fault(customer):
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


def find_sku_fault(text: str) -> str:
    """Return why the text can be no SKU, or nothing."""
    if why := find_name_fault(text):
        return why
    is_valid = len(text) <= MAX_SKU and re.search(SKU_PATTERN, text)
    return "" if is_valid else f"over {MAX_SKU} characters, a slash, or one that no address can name"


def find_number_fault(text: str) -> str:
    """Return why the text can be no number of an invoice or a customer, or nothing."""
    if why := find_name_fault(text):
        return why
    if text.count('"') % 2:
        return "half a pair of quotes"
    return f"over {MAX_NUMBER} characters" if len(text) > MAX_NUMBER else ""


def find_name_fault(text: str) -> str:
    """Return why the text can name nothing, or nothing: it looks like another one, or a program has changed it."""
    if re.fullmatch(EXPONENT, text):
        return DIGITS_LOST
    if not text.isprintable() or "\N{REPLACEMENT CHARACTER}" in text or not is_visible(text):
        return "it has a character that cannot be seen or read"
    if re.match(SPREADSHEET_MARK, text):
        return "it begins with a mark of a spreadsheet or a quote; save the file again with plain values"
    return ""


def read_decimal(text: str) -> Decimal | None:
    """Return a plain decimal number; None for one with an exponent, thousands or foreign digits, or for none."""
    return Decimal(text) if re.fullmatch(r"[+-]?[0-9]{1,18}(\.[0-9]{1,30})?", text) else None


def whole_number(text: str) -> int | None:
    number = read_decimal(text)
    return int(number) if number is not None and number == int(number) else None


def minor_units(text: str) -> int | None:
    """Convert pounds to pence; None when the text is no number, or has a fraction of a penny.

    A rounded price times a quantity would be another total than the invoice's.
    """
    pounds = read_decimal(text)
    if pounds is None:
        return None
    pence = round(pounds * 100)
    return pence if abs(pounds * 100 - pence) < PENCE_TOLERANCE else None
