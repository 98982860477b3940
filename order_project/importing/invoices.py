"""The reader of invoice files (UCI's "Online Retail"): one faulty row refuses its whole invoice. Pure."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal

import pycountry

from celery_config.contracts.inventory import MAX_PRICE, MAX_SKU, SKU_PATTERN, Line

COLUMNS = ("InvoiceNo", "StockCode", "Description", "Quantity", "UnitPrice", "CustomerID", "Country")
CURRENCY = "GBP"
MAX_NUMBER = 64
NUL = "\0"
# Names in such files that are not in ISO 3166.
COUNTRY_ALIASES = {"EIRE": "IE", "RSA": "ZA", "USA": "US", "UK": "GB", "Channel Islands": "JE"}


class NotAnInvoiceFile(Exception):
    """The file lacks columns or is not text; nothing was read."""


@dataclass(frozen=True)
class Fault:
    """Why an invoice is refused; `line` counts the file's lines from 1, the header being the first."""

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
    number: str
    customer: str = ""
    country: str = ""
    lines: list[Line] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)


@dataclass(frozen=True)
class InvoiceFile:
    invoices: list[Invoice]
    products: dict[str, Product]

    @property
    def clean(self) -> list[Invoice]:
        return [invoice for invoice in self.invoices if not invoice.faults]

    @property
    def faults(self) -> list[Fault]:
        return [fault for invoice in self.invoices for fault in invoice.faults]


def read_invoices(lines: Iterable[str]) -> InvoiceFile:
    """Read an invoice file into invoices and products.

    A product's price is the first valid one in the file.

    Raises:
        NotAnInvoiceFile: a column is missing.
    """
    reader = csv.DictReader(lines)
    missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
    if missing:
        raise NotAnInvoiceFile(
            f"The file lacks the columns {', '.join(missing)}; it needs {', '.join(COLUMNS)}."
        )
    invoices: dict[str, Invoice] = {}
    products: dict[str, Product] = {}
    for row in reader:
        values = {name: (row[name] or "").strip() for name in COLUMNS}
        invoice = invoices.setdefault(values["InvoiceNo"], Invoice(values["InvoiceNo"]))
        faults = [
            Fault(reader.line_num, invoice.number, code, detail)
            for code, detail in find_faults(values, invoice)
        ]
        invoice.faults += faults
        if product := read_product(values):
            products.setdefault(product.sku, product)
        if not faults:
            invoice.customer, invoice.country = (
                values["CustomerID"],
                find_country_code(values["Country"]) or "",
            )
            invoice.lines.append(Line(sku=values["StockCode"], quantity=int(values["Quantity"])))
    return InvoiceFile(list(invoices.values()), products)


def read_product(row: dict[str, str]) -> Product | None:
    """Return the product of a row, even if its invoice is refused; None when inventory would refuse it."""
    sku, name, price = row["StockCode"], row["Description"], minor_units(row["UnitPrice"])
    if not is_sku(sku) or NUL in name or not price or not 0 < price <= MAX_PRICE:
        return None
    return Product(sku, name or sku, price)


def find_faults(row: dict[str, str], invoice: Invoice) -> Iterator[tuple[str, str]]:
    """Yield the code and detail of every fault of one row."""
    quantity, price = whole_number(row["Quantity"]), minor_units(row["UnitPrice"])
    if not row["InvoiceNo"]:
        yield "missing_invoice", "the row has no invoice number"
    elif not is_number(row["InvoiceNo"]):
        yield (
            "bad_invoice",
            f"{row['InvoiceNo']!r:.100} is no invoice number: over {MAX_NUMBER} characters, or a NUL",
        )
    if row["InvoiceNo"].upper().startswith("C"):
        yield "credit_note", "a credit note is not an order"
    elif quantity is None:
        yield "bad_quantity", f"{row['Quantity']!r:.100} is not a whole number"
    elif quantity <= 0:
        yield "negative_quantity", f"the quantity is {quantity}"
    if not row["StockCode"]:
        yield "missing_product", "the row has no stock code"
    elif not is_sku(row["StockCode"]):
        yield (
            "bad_product",
            f"{row['StockCode']!r:.100} is no SKU: over {MAX_SKU} characters, a slash or a NUL",
        )
    if NUL in row["Description"]:
        yield "bad_description", f"{row['Description']!r:.100} has a NUL"
    if price is None:
        yield "bad_price", f"{row['UnitPrice']!r:.100} is not a price"
    elif price <= 0:
        yield "zero_price", f"the price is {row['UnitPrice']:.100}"
    elif price > MAX_PRICE:
        yield "bad_price", f"{row['UnitPrice']:.100} is beyond any price"
    if not row["CustomerID"]:
        yield "missing_customer", "the row has no customer"
    elif not is_number(row["CustomerID"]):
        yield (
            "bad_customer",
            f"{row['CustomerID']!r:.100} is no customer: over {MAX_NUMBER} characters, or a NUL",
        )
    elif invoice.customer and row["CustomerID"] != invoice.customer:
        yield "two_customers", f"the invoice names {invoice.customer} and {row['CustomerID']}"
    if find_country_code(row["Country"]) is None:
        yield "unknown_country", f"{row['Country']!r:.100} is no country known to ISO 3166"


def is_sku(text: str) -> bool:
    return NUL not in text and len(text) <= MAX_SKU and re.search(SKU_PATTERN, text) is not None


def is_number(text: str) -> bool:
    """Return whether the text can be the number of an invoice or a customer."""
    return NUL not in text and len(text) <= MAX_NUMBER


def whole_number(text: str) -> int | None:
    return int(text) if re.fullmatch("[+-]?[0-9]{1,18}", text) else None


def minor_units(text: str) -> int | None:
    """Convert pounds to pence, rounded half up; None when the text is no number, or a number beyond any price."""
    try:
        return int((Decimal(text) * 100).quantize(Decimal(1), ROUND_HALF_UP))
    except (ArithmeticError, ValueError):
        return None


def find_country_code(name: str) -> str | None:
    """Return the ISO 3166-1 alpha-2 code of a country's name, or None."""
    if name in COUNTRY_ALIASES:
        return COUNTRY_ALIASES[name]
    try:
        return str(pycountry.countries.lookup(name).alpha_2)
    except LookupError:
        return None
