"""An invoice file sorted: what is odd is a reason in the report, never the end of the import."""

from __future__ import annotations

import csv
import io

import pytest

from celery_config.contracts.inventory import MAX_PRICE, Line
from order_project.importing.invoices import COLUMNS, InvoiceFile, Product, minor_units, read_invoices

CLEAN = dict(
    zip(COLUMNS, ("536365", "85123A", "LANTERN", "6", "2.55", "17850", "United Kingdom"), strict=True)
)
LANTERN = Product("85123A", "LANTERN", 255)


def reading(*rows: dict[str, str]) -> InvoiceFile:
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, (*COLUMNS, "InvoiceDate"))
    writer.writeheader()
    writer.writerows(CLEAN | row for row in rows)
    file.seek(0)
    return read_invoices(file)


def test_a_clean_invoice() -> None:
    file = reading({}, {"StockCode": "71053", "UnitPrice": "3.394999"})
    (invoice,) = file.clean
    assert (invoice.number, invoice.customer, invoice.country) == ("536365", "17850", "GB")
    assert invoice.lines == [Line(sku="85123A", quantity=6), Line(sku="71053", quantity=6)]
    assert file.products == {"85123A": LANTERN, "71053": Product("71053", "LANTERN", 339)}


@pytest.mark.parametrize(
    ("column", "value", "code"),
    [
        ("UnitPrice", "1e400", "bad_price"),
        ("UnitPrice", "-1e400", "bad_price"),
        ("UnitPrice", "1e999999999999", "bad_price"),
        ("UnitPrice", "9" * 5000, "bad_price"),
        ("UnitPrice", "NaN", "bad_price"),
        ("UnitPrice", "sNaN", "bad_price"),
        ("UnitPrice", "Infinity", "bad_price"),
        ("UnitPrice", "2,55", "bad_price"),
        ("UnitPrice", "1\0", "bad_price"),
        ("UnitPrice", "", "bad_price"),
        ("UnitPrice", str(MAX_PRICE), "bad_price"),
        ("UnitPrice", "1e-400", "zero_price"),
        ("UnitPrice", "-0", "zero_price"),
        ("Quantity", "9" * 5000, "bad_quantity"),
        ("Quantity", "1.5", "bad_quantity"),
        ("Quantity", "1_0", "bad_quantity"),
        ("Quantity", "NaN", "bad_quantity"),
        ("Quantity", "1\0", "bad_quantity"),
        ("Quantity", "0", "negative_quantity"),
        ("StockCode", "", "missing_product"),
        ("StockCode", "   ", "missing_product"),
        ("StockCode", "851\0A", "bad_product"),
        ("StockCode", "851/A", "bad_product"),
        ("StockCode", "851\nA", "bad_product"),
        ("StockCode", "8" * 65, "bad_product"),
        ("Description", "a \0 b", "bad_description"),
        ("CustomerID", "1\0", "bad_customer"),
        ("CustomerID", "1" * 65, "bad_customer"),
        ("Country", "France\0", "unknown_country"),
        ("Country", "x" * 10_000, "unknown_country"),
        ("InvoiceNo", "", "missing_invoice"),
        ("InvoiceNo", "1\0", "bad_invoice"),
        ("InvoiceNo", "1" * 65, "bad_invoice"),
    ],
)
def test_an_odd_value_refuses_its_invoice_and_no_other(column: str, value: str, code: str) -> None:
    file = reading({column: value}, {"InvoiceNo": "536366"})
    assert [(fault.line, fault.code) for fault in file.faults] == [(2 + value.count("\n"), code)]
    assert len(file.faults[0].detail) < 250
    assert [invoice.number for invoice in file.clean] == ["536366"]
    assert file.products == {"85123A": LANTERN}


@pytest.mark.parametrize(
    "row", [{"Description": "x" * 10_000}, {"InvoiceDate": "never"}, {"Quantity": "9" * 18}]
)
def test_what_is_odd_and_does_no_harm(row: dict[str, str]) -> None:
    """A description is cut, a date not read; how much may be ordered at once is the order's to say."""
    assert len(reading(row).clean) == 1


@pytest.mark.parametrize(("text", "pence"), [("2.555", 256), ("2.554", 255), ("1E+1", 1000), ("-1", -100)])
def test_pounds_become_pence(text: str, pence: int) -> None:
    assert minor_units(text) == pence
