"""An invoice file sorted: what is odd is a reason in the report, never the end of the import."""

from __future__ import annotations

import csv
import io

import pytest

from celery_config.contracts.inventory import MAX_PRICE
from order_project.domain import MAX_LINES, MAX_QUANTITY, RequestLine
from order_project.importing.cells import minor_units
from order_project.importing.invoices import COLUMNS, InvoiceFile, Product, read_invoices

CLEAN = dict(
    zip(COLUMNS, ("536365", "85123A", "LANTERN", "6", "2.55", "17850", "United Kingdom"), strict=True)
)
LANTERN = Product("85123A", "LANTERN", 255)


def reading(*rows: dict[str, str]) -> InvoiceFile:
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, (*COLUMNS, "InvoiceDate"))
    writer.writeheader()
    writer.writerows(CLEAN | row for row in rows)
    return read_invoices(file.getvalue().encode())


def read(text: str) -> InvoiceFile:
    """Read what follows the usual header."""
    return read_invoices(f"{','.join(COLUMNS)}\n{text}".encode())


def codes(file: InvoiceFile) -> list[tuple[int, str, str]]:
    return [(fault.line, fault.invoice, fault.code) for fault in file.faults]


def test_a_clean_invoice() -> None:
    file = reading({}, {"StockCode": "71053", "UnitPrice": "3.3900"})
    (invoice,) = file.clean
    assert (invoice.number, invoice.customer, invoice.country) == ("536365", "17850", "GB")
    assert invoice.lines == [
        RequestLine(sku="85123A", quantity=6, unit_price=255),
        RequestLine(sku="71053", quantity=6, unit_price=339),
    ]
    assert invoice.total == 6 * 255 + 6 * 339
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
        ("UnitPrice", "1e-400", "bad_price"),
        ("UnitPrice", "1E+1", "bad_price"),
        ("UnitPrice", "1_000", "bad_price"),
        ("UnitPrice", "1.000", "bad_price"),
        ("UnitPrice", "2.550", "bad_price"),
        ("UnitPrice", "1,000", "bad_price"),
        ("UnitPrice", "２.５５", "bad_price"),
        ("UnitPrice", "3.394999", "bad_price"),
        ("UnitPrice", "0.001", "bad_price"),
        ("UnitPrice", "-0", "zero_price"),
        ("UnitPrice", "0.00", "zero_price"),
        ("UnitPrice", "-2.55", "negative_price"),
        ("Quantity", "9" * 5000, "bad_quantity"),
        ("Quantity", "1.5", "bad_quantity"),
        ("Quantity", "1_0", "bad_quantity"),
        ("Quantity", "NaN", "bad_quantity"),
        ("Quantity", "6e+02", "bad_quantity"),
        ("Quantity", "６", "bad_quantity"),
        ("Quantity", "1\0", "bad_quantity"),
        ("Quantity", "0", "negative_quantity"),
        ("StockCode", "", "missing_product"),
        ("StockCode", "   ", "missing_product"),
        ("StockCode", "851\0A", "bad_product"),
        ("StockCode", "851/A", "bad_product"),
        ("StockCode", "851\nA", "bad_product"),
        ("StockCode", "8" * 65, "bad_product"),
        ("StockCode", "8.5E+12", "bad_product"),
        ("StockCode", "85123A\u200b", "bad_product"),
        ("StockCode", "\u3164", "bad_product"),
        ("StockCode", '="85123A"', "bad_product"),
        ("StockCode", '"85123A"', "bad_product"),
        ("Description", "a \0 b", "bad_description"),
        ("CustomerID", "1\0", "bad_customer"),
        ("CustomerID", "1" * 65, "bad_customer"),
        ("CustomerID", "1.785E+04", "bad_customer"),
        ("CustomerID", "17850\u200b", "bad_customer"),
        ("CustomerID", "\u202e17850", "bad_customer"),
        ("CustomerID", "17850\ufffd", "bad_customer"),
        ("CustomerID", "\u3164", "bad_customer"),
        ("CustomerID", "'17850", "bad_customer"),
        ("Country", "France\0", "unknown_country"),
        ("Country", "x" * 10_000, "unknown_country"),
        ("InvoiceNo", "C536379", "credit_note"),
        ("InvoiceNo", "c900", "credit_note"),
    ],
)
def test_an_odd_value_refuses_its_invoice_and_no_other(column: str, value: str, code: str) -> None:
    file = reading({column: value}, {"InvoiceNo": "536366"})
    assert [(fault.line, fault.code) for fault in file.faults] == [(2, code)]
    assert len(file.faults[0].detail) < 250
    assert [invoice.number for invoice in file.clean] == ["536366"]
    assert file.products == {"85123A": LANTERN}


def test_an_invoice_over_what_one_payment_takes_is_refused_by_name() -> None:
    dear = {"UnitPrice": "9000000000", "Quantity": "1"}
    file = reading(dear, dear | {"StockCode": "71053"}, {"InvoiceNo": "536366"})
    assert [(fault.invoice, fault.code) for fault in file.faults] == [("536365", "order_too_large")]
    assert [invoice.number for invoice in file.clean] == ["536366"]


@pytest.mark.parametrize(
    ("number", "code"),
    [
        ("", "missing_invoice"),
        ("5363\x0065", "bad_invoice"),
        ("536365\u200b", "bad_invoice"),
        ("1" * 65, "bad_invoice"),
        ("5.36E+05", "bad_invoice"),
        ("5,36e+05", "bad_invoice"),
        ('20"', "bad_invoice"),
        ("#REF!", "bad_invoice"),
        ('="536365"', "bad_invoice"),
        ("'536365", "bad_invoice"),
    ],
)
def test_a_row_with_an_uncertain_number_refuses_the_invoices_beside_it(number: str, code: str) -> None:
    rows = ["536364", "536365", number, "536365", "536366"], ["536365", number, "536366", "536367"]
    inside, between = (reading(*({"InvoiceNo": each} for each in every)) for every in rows)
    assert codes(inside) == [(4, "536365", "neighbour_unreadable"), (4, "", code)]
    assert [invoice.number for invoice in inside.clean] == ["536364", "536366"]
    beside = [(3, each, "neighbour_unreadable") for each in ("536365", "536366")]
    assert codes(between) == [*beside, (3, "", code)]
    assert "line 3 " in between.faults[0].detail
    assert [invoice.number for invoice in between.clean] == ["536367"]
    assert all(len(fault.detail) < 250 for fault in inside.faults)


def test_a_comma_that_moves_the_cells_refuses_the_invoices_beside_its_row() -> None:
    header = "Description,InvoiceNo,StockCode,Quantity,UnitPrice,CustomerID,Country,Note"
    first, second = (f"MUG,{number},S1,6,2.55,17850,France," for number in (536365, 536366))
    more = "MUG, RED,536365,S2,6,2.55,17850,France,"
    no_more = "MUG, RED 250 ML,536366,S2,6,2.55,17850,France"  # the last cell is left out
    for moved, code in [(more, "wrong_cells"), (no_more, "bad_invoice")]:
        file = read_invoices("\n".join([header, first, moved, second]).encode())
        assert {each.invoice for each in file.faults} == {"536365", "536366", ""}
        assert code in {each.code for each in file.strays}
        assert (file.clean, file.products, file.empty_lines) == ([], {}, 0)


def test_rows_that_stand_together_have_one_reason() -> None:
    file = reading({}, {"InvoiceNo": ""}, {"InvoiceNo": "#"}, {"InvoiceNo": "5E+5"}, {"InvoiceNo": "536366"})
    reasons = [each.detail for each in file.faults if each.code == "neighbour_unreadable"]
    assert reasons == ["without a certain invoice number, lines 3 to 5 may belong to this invoice"] * 2


def test_where_the_rows_of_an_invoice_stand_apart_no_place_says_whose_a_row_is() -> None:
    numbers = ["536365", "536366", "536365"]
    assert not reading(*({"InvoiceNo": each} for each in numbers)).is_grouped
    assert reading(*({"InvoiceNo": each} for each in ["536365", "", *numbers[:2]])).is_grouped


def test_a_refused_invoice_brings_no_product() -> None:
    other = {"StockCode": "S2", "UnitPrice": "9.99"}
    file = reading({"UnitPrice": "1.11"}, other, other | {"Quantity": "0"}, {"InvoiceNo": "536366"})
    assert file.products == {"85123A": LANTERN}


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ([{"Quantity": "9" * 18}], "bad_quantity"),
        ([{"Quantity": str(MAX_QUANTITY)}, {"UnitPrice": "1"}], "bad_quantity"),
        ([{"StockCode": f"S{n}"} for n in range(MAX_LINES + 1)], "too_many_lines"),
    ],
)
def test_an_invoice_that_no_order_may_be_brings_no_product(rows: list[dict[str, str]], code: str) -> None:
    file = reading(*rows, {"InvoiceNo": "536366", "StockCode": "S"})
    assert {(fault.line, fault.invoice, fault.code) for fault in file.faults} == {(0, "536365", code)}
    assert file.products.keys() == {"S"}


def test_numbers_of_another_kind_are_numbers() -> None:
    """Only a row that is wrong elsewhere too, or a number without a digit among such with digits, is doubtful."""
    rows = [{"InvoiceNo": each} for each in ("999", "A-1001", "INV 20260001")]
    assert len(reading(*rows).clean) == 3
    assert len(reading({"InvoiceNo": "ALPHA"}, {"InvoiceNo": "BETA"}).clean) == 2
    assert len(reading(*rows, {"InvoiceNo": "7", "Quantity": "-1"}).clean) == 3


@pytest.mark.parametrize("row", [{"Description": "x" * 10_000}, {"InvoiceDate": "never"}])
def test_what_is_odd_and_does_no_harm(row: dict[str, str]) -> None:
    """A description is cut, a date not read."""
    assert len(reading(row).clean) == 1


@pytest.mark.parametrize("name", ["", "\u200b", "\u3164"])
def test_a_product_without_a_name_that_can_be_seen_is_named_by_its_sku(name: str) -> None:
    assert reading({"Description": name}).products["85123A"].name == "85123A"


@pytest.mark.parametrize(
    ("text", "pence"),
    [
        ("2.55", 255),
        ("2.5", 250),
        ("2.5500", 255),
        ("1.000", None),
        ("2.550", None),
        ("1234.500", None),
        ("-1", -100),
        ("2.5500000000000003", 255),
        ("2.555", None),
    ],
)
def test_pounds_become_whole_pence(text: str, pence: int | None) -> None:
    assert minor_units(text) == pence


def test_an_order_number_that_begins_with_c_is_no_credit_note() -> None:
    file = reading({"InvoiceNo": "CA-2016-000001", "CustomerID": "C-00001", "Country": "Canada"})
    assert [(i.number, i.customer, i.country) for i in file.clean] == [("CA-2016-000001", "C-00001", "CA")]


def test_numbers_as_pandas_writes_them() -> None:
    file = read_invoices(
        b",InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
        b"0,900030,S1,MUG,6,2010-12-01 08:26:00,2.55,17850.00,United Kingdom\n"
        b"1,900031.0,S1,MUG,6.0,2010-12-01 08:26:00,2.55,17850,United Kingdom\n"
        b"2,900032,22386.0,BAG,1,2010-12-01 08:26:00,1.95,17850,United Kingdom\n"
        b"3,900032,22386,BAG,1,2010-12-01 08:26:00,1.95,17850,United Kingdom\n"
    )
    assert file.products.keys() == {"S1", "22386"}
    assert [(i.number, i.customer, i.lines[0].quantity) for i in file.clean] == [
        ("900030", "17850", 6),
        ("900031", "17850", 6),
        ("900032", "17850", 1),
    ]


def test_the_price_of_each_line_is_its_own() -> None:
    file = reading({}, {"UnitPrice": "200.00"}, {"InvoiceNo": "536366", "UnitPrice": "1.00"})
    assert [[line.unit_price for line in invoice.lines] for invoice in file.clean] == [[255, 20000], [100]]
    assert file.products == {"85123A": LANTERN}


def test_an_unclosed_quote_refuses_its_own_invoice_and_no_other() -> None:
    good = "".join(f"9000{n},S9,MUG,1,2.00,17850,United Kingdom\n" for n in range(21, 61))
    also = "900020,S9,MUG,1,2.00,17850,United Kingdom\n"
    file = read(also + '900020,S9,"7 INCH FRAME,1,2.00,17850,United Kingdom\n' + good)
    assert codes(file) == [(3, "900020", "bad_row")]
    assert "line 3" in file.faults[0].detail
    assert len(file.clean) == 40


@pytest.mark.parametrize(
    "closes",
    [
        '900021,S9,"BOX, SMALL",1,2.00,17850,United Kingdom',
        '900021,S9,LAMP 7",1,2.00,17850,United Kingdom',
        '900021,S9,"",1,2.00,17850,United Kingdom',
    ],
)
def test_a_later_quote_does_not_hide_what_an_unclosed_one_swallowed(closes: str) -> None:
    file = read(
        "900020,S9,MUG,1,2.00,17850,United Kingdom\n"
        '900020,S9,"7 INCH FRAME,1,2.00,17850,United Kingdom\n'
        "900022,S9,MUG,1,2.00,17850,United Kingdom\n"
        f"{closes}\n"
        "900023,S9,MUG,1,2.00,17850,United Kingdom\n"
    )
    assert codes(file) == [(3, "900020", "bad_row")]
    assert [invoice.number for invoice in file.clean] == ["900022", "900021", "900023"]


def test_a_cell_may_have_lines() -> None:
    file = read('900020,S9,"MUG\nBLUE",1,2.00,17850,United Kingdom\n900021,S9,MUG,1,x,17850,United Kingdom\n')
    assert file.products["S9"].name == "MUG\nBLUE"
    assert codes(file) == [(4, "900021", "bad_price")]


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ("900007,S6,BLUE MUG,6,2,55,826,United Kingdom", "wrong_cells"),
        ("900007,S6,BLUE MUG,6,2,17850,United Kingdom,", "wrong_cells"),
        ("900007,S6,BLUE MUG,6", "wrong_cells"),
        ('900007,S6,"BLUE" MUG,6,2.00,17850,United Kingdom', "bad_row"),
        ("900007,S6," + "x" * 200_000 + ",6,2.00,17850,United Kingdom", "bad_row"),
    ],
)
def test_a_row_that_is_none(row: str, code: str) -> None:
    good = "S1,MUG,6,2.55,17850,United Kingdom\n"
    file = read(f"900007,{good}{row}\n900008,{good}900009,{good}")
    assert codes(file) == [(3, "900007", code)]
    assert [invoice.number for invoice in file.clean] == ["900008", "900009"]
    alone = read(f"{row}\n900008,{good}900009,{good}")
    assert codes(alone) == [(2, "900008", "neighbour_unreadable"), (2, "", code)]
    assert [invoice.number for invoice in alone.clean] == ["900009"]
    assert alone.products.keys() == {"S1"}


def test_every_line_is_counted() -> None:
    file = read('900020,S9,"MUG\nBLUE",1,2.00,17850,France\n\n,,,,,,\nC1,S9,MUG,1,2.00,17850,France\n')
    assert {invoice.number: invoice.file_lines for invoice in file.invoices} == {"900020": 2, "C1": 1}
    assert (len(file.table.lines), file.table.header.lines, file.empty_lines) == (6, 1, 2)


@pytest.mark.parametrize(
    ("price", "pence"),
    [
        ("2,55", 255),
        ("2.55", 255),
        ("2,5", 250),
        ("2", 200),
        ("1,000", None),
        ("1.000", None),
        ("1.000,50", None),
    ],
)
def test_a_decimal_comma_where_columns_are_separated_otherwise(price: str, pence: int | None) -> None:
    """Three digits behind it may be thousands."""
    header, row = ";".join(COLUMNS), f"900001;S1;MUG;6,0;{price};17850,0;United Kingdom"
    file = read_invoices(f"{header}\n{row}\n".encode())
    assert [i.lines[0].unit_price for i in file.clean] == ([] if pence is None else [pence])
    assert [(i.number, i.customer) for i in file.clean] == ([] if pence is None else [("900001", "17850")])


def test_one_invoice_in_two_countries() -> None:
    assert codes(reading({}, {"Country": "France"})) == [(3, "536365", "two_countries")]


MISSING_WORDS = ["NULL", "NaN", "#N/A", "N/A", "NA", "None", "-", "?"]


@pytest.mark.parametrize("word", MISSING_WORDS)
@pytest.mark.parametrize(
    ("column", "code"),
    [("CustomerID", "missing_customer"), ("InvoiceNo", "missing_invoice"), ("StockCode", "missing_product")],
)
def test_a_word_for_a_missing_value_is_none(column: str, code: str, word: str) -> None:
    file = reading({column: word})
    assert not file.clean
    assert code in [fault.code for fault in file.faults]


@pytest.mark.parametrize("word", MISSING_WORDS)
def test_a_product_without_a_name_has_its_sku_for_one(word: str) -> None:
    assert reading({"Description": word}).products["85123A"].name == "85123A"


@pytest.mark.parametrize("customer", ["17850.5", "17850,5", ".5", "-17850", "***", "..", "#REF!"])
def test_what_is_no_customer_is_refused(customer: str) -> None:
    assert codes(reading({"CustomerID": customer})) == [(2, "536365", "bad_customer")]


@pytest.mark.parametrize(
    "error", ["#REF!", "#NAME?", "#DIV/0!", "#VALUE!", "#NUM!", "#NULL!", "####", "Err:502"]
)
@pytest.mark.parametrize("column", COLUMNS)
def test_an_error_of_a_spreadsheet_refuses_the_row(column: str, error: str) -> None:
    file = reading({column: error})
    assert not file.clean
    assert any(error in fault.detail for fault in file.faults)


@pytest.mark.parametrize("quantity", ["1.000", "1.00000", "12.000", "1.0000", "1,000", "1.5"])
def test_a_quantity_that_may_be_a_thousand_is_refused(quantity: str) -> None:
    assert codes(reading({"Quantity": quantity})) == [(2, "536365", "bad_quantity")]


@pytest.mark.parametrize("quantity", ["6", "6.0", "6.00", "+6"])
def test_a_whole_number_that_became_a_fraction_is_one(quantity: str) -> None:
    assert reading({"Quantity": quantity}).clean[0].lines[0].quantity == 6


def test_a_refusal_quotes_what_the_file_says() -> None:
    header = ";".join(COLUMNS)
    text = f"{header}\n536365;85123A;LANTERN;6,5;2,555;17850,5;N/A\n536366;85123A;LANTERN;-6,0;-2,55;17850;Congo\n"
    details = [fault.detail for fault in read_invoices(text.encode()).faults]
    for said in ("'6,5'", "'2,555'", "'17850,5'", "'N/A'", "is -6,0", "is -2,55", "'Congo'"):
        assert any(said in detail for detail in details), (said, details)
