"""What the cells of a row mean, and why they mean nothing: numbers, names, words for a missing value. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal

from celery_config.common.visible_text import is_visible
from celery_config.contracts.inventory import MAX_PRICE, MAX_SKU, SKU_PATTERN
from order_project.importing.countries import explain_no_country, find_country_code

MAX_NUMBER = 64
NUL = "\0"
# A spreadsheet writes long numbers so, and their last digits are gone.
EXPONENT = r"[0-9]+([.,][0-9]+)?[eE][+-][0-9]+"
# Before what a spreadsheet is to take as text: ="536365", '536365; and a quote behind a space.
SPREADSHEET_MARK = r"""=|"|'(?=[0-9])"""
DIGITS_LOST = "its last digits are lost in exponent form; format the column as text, and save the file again"
# What programs write for a missing value; `#N/A` is a spreadsheet's.
MISSING = {
    "null",
    "nan",
    "nat",
    "none",
    "nil",
    "na",
    "n/a",
    "#n/a",
    "<na>",
    "(null)",
    "(blank)",
    "-",
    "--",
    "?",
}
MAY_BE_MISSING = ("InvoiceNo", "StockCode", "Description", "CustomerID")
SPREADSHEET_ERROR = r"#[A-Z0-9_/]+[!?]|#+|Err:[0-9]+"
# Binary fractions have more digits than the price that they stand for.
PENCE_TOLERANCE = Decimal("1e-6")


def understand_cells(said: dict[str, str], *, decimal_comma: bool) -> dict[str, str]:
    """Return what the cells mean: no word for a missing value, numbers with a decimal point."""
    values = {**said}
    values |= {name: "" for name in MAY_BE_MISSING if said[name].casefold() in MISSING}
    values |= {name: drop_point_zero(values[name]) for name in ("InvoiceNo", "StockCode", "CustomerID")}
    if decimal_comma:
        values |= {name: use_decimal_point(values[name]) for name in ("Quantity", "UnitPrice")}
    return values


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


def find_faults(row: dict[str, str], said: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the code and detail of every fault that one row has by itself; a detail quotes what the file said."""
    quantity, price = whole_number(row["Quantity"]), minor_units(row["UnitPrice"])
    quoted = {name: f"{cell!r:.100}" for name, cell in said.items()}
    if not row["InvoiceNo"]:
        yield "missing_invoice", "the row has no invoice number"
    elif why := find_number_fault(row["InvoiceNo"]):
        yield "bad_invoice", f"{quoted['InvoiceNo']} is no invoice number: {why}"
    if re.fullmatch("[cC][0-9]+", row["InvoiceNo"]):
        yield "credit_note", "a credit note is not an order"
    elif quantity is None:
        yield "bad_quantity", f"{quoted['Quantity']} is not a whole number, such as 6 or 6.0"
    elif quantity <= 0:
        yield "negative_quantity", f"the quantity is {said['Quantity']:.100}"
    if not row["StockCode"]:
        yield "missing_product", "the row has no stock code"
    elif why := find_sku_fault(row["StockCode"]):
        yield "bad_product", f"{quoted['StockCode']} is no SKU: {why}"
    if NUL in row["Description"]:
        yield "bad_description", f"{quoted['Description']} has a NUL"
    elif re.fullmatch(SPREADSHEET_ERROR, row["Description"]):
        yield "bad_description", f"{quoted['Description']} is an error of a spreadsheet"
    if price is None:
        yield "bad_price", f"{quoted['UnitPrice']} is not a price in whole pence, such as 2.55 or 2.5500"
    elif price == 0:
        yield "zero_price", f"the price is {said['UnitPrice']:.100}"
    elif price < 0:
        yield "negative_price", f"the price is {said['UnitPrice']:.100}"
    elif price > MAX_PRICE:
        yield "bad_price", f"{said['UnitPrice']:.100} is beyond any price"
    if not row["CustomerID"]:
        yield "missing_customer", "the row has no customer"
    elif why := find_customer_fault(row["CustomerID"]):
        yield "bad_customer", f"{quoted['CustomerID']} is no customer: {why}"
    if find_country_code(row["Country"]) is None:
        yield "unknown_country", f"{quoted['Country']} {explain_no_country(row['Country'])}"


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


def find_customer_fault(text: str) -> str:
    """Return why the text can be no customer's number, or nothing."""
    if re.fullmatch(r"[+-]?[0-9]*[.,][0-9]+|-[0-9]+", text):
        return "it is a number with a fraction, or below zero"
    return find_number_fault(text)


def find_name_fault(text: str) -> str:
    """Return why the text can name nothing, or nothing: it looks like another one, or a program has changed it."""
    if re.fullmatch(EXPONENT, text):
        return DIGITS_LOST
    if not text.isprintable() or "\N{REPLACEMENT CHARACTER}" in text or not is_visible(text):
        return "it has a character that cannot be seen or read"
    if re.fullmatch(SPREADSHEET_ERROR, text):
        return "it is an error of a spreadsheet"
    if not any(map(str.isalnum, text)):
        return "it has no letter and no digit"
    if re.match(SPREADSHEET_MARK, text):
        return "it begins with a mark of a spreadsheet or a quote; save the file again with plain values"
    return ""


def read_decimal(text: str) -> Decimal | None:
    """Return a plain decimal number; None for one with an exponent, thousands or foreign digits, or for none."""
    return Decimal(text) if re.fullmatch(r"[+-]?[0-9]{1,18}(\.[0-9]{1,30})?", text) else None


def whole_number(text: str) -> int | None:
    """Return a whole number, also one that a program took for a fraction: 6.0, 6.00. 1.000 may be a thousand."""
    return int(text.partition(".")[0]) if re.fullmatch(r"[+-]?[0-9]{1,18}(\.00?)?", text) else None


def minor_units(text: str) -> int | None:
    """Convert pounds to pence; None when the text is no number, may be thousands (1.000), or has a fraction of a penny.

    A rounded price times a quantity would be another total than the invoice's.
    """
    pounds = read_decimal(text)
    if pounds is None or re.search(r"\.[0-9]{3}$", text):
        return None
    pence = round(pounds * 100)
    return pence if abs(pounds * 100 - pence) < PENCE_TOLERANCE else None
