"""A delimited file is read as what it is, or refused with a sentence that says what was seen and what to do."""

from __future__ import annotations

import codecs

import pytest

from order_project.importing.table import NotATable, read_table

COLUMNS = ("Number", "Place")
TEXT = "Number,Place\n1,Curaçao\n"


def cells(data: bytes, encoding: str | None = None) -> list[list[str]]:
    return [list(row.cells) for row in read_table(data, COLUMNS, encoding).rows]


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (TEXT.encode(), "utf-8"),
        (TEXT.encode("utf-8-sig"), "utf-8-sig"),
        (TEXT.encode("utf-16"), "utf-16"),
        (codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"), "utf-16"),
        (TEXT.encode("utf-16-le"), "utf-16-le"),
        (TEXT.encode("utf-16-be"), "utf-16-be"),
        (TEXT.encode("utf-32"), "utf-32"),
        (TEXT.encode("latin-1"), "cp1252"),
        (TEXT.replace("\n", "\r\n").encode(), "utf-8"),
        (TEXT.replace("\n", "\r").encode(), "utf-8"),
    ],
)
def test_encodings_are_recognised(data: bytes, encoding: str) -> None:
    assert cells(data) == [["1", "Curaçao"]]
    assert read_table(data, COLUMNS).encoding == encoding


def test_an_encoding_that_is_said() -> None:
    assert cells(TEXT.replace("ç", "ż").encode("cp1250"), "cp1250") == [["1", "Curażao"]]
    assert cells(TEXT.encode("utf-8-sig"), "utf-8") == [["1", "Curaçao"]]


@pytest.mark.parametrize(
    "text",
    [
        "Number;Place\n1;Oslo\n",
        "Number\tPlace\n1\tOslo\n",
        "Number|Place\n1|Oslo\n",
        "sep=;\nNumber;Place\n1;Oslo\n",
        'Sep=~\r\n"Number"~Place\r\n1~Oslo\r\n',
        "sep=\t\nNumber\tPlace\n1\tOslo\n",
        " Number ; Place \n1;Oslo\n",
        "Number;Place;a,b,c,d\n1;Oslo;\n",
        "\nNumber;Place\n1;Oslo\n",
        " \r\n;;\r\nsep=;\r\n\r\nNumber;Place\r\n1;Oslo\r\n",
    ],
)
def test_separators_are_recognised(text: str) -> None:
    assert [row[:2] for row in cells(text.encode())] == [["1", "Oslo"]]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is empty"),
        (b"sep=;\n", "is empty"),
        (b"\n,,\n", "is empty"),
        (b"Number;Town\n", "lacks the columns Place; .* separated by semicolons, are 'Number, Town'"),
        (b"Number,Place,Number\n", "the column Number more than once"),
        (b"PK\x03\x04...", "an Excel workbook"),
        (b"\x1f\x8b...", "gzip"),
        (b"Number,Place\n1,\x81\n", "not text in cp1252 .*save it as UTF-8"),
        (b"\xff\xfeN\x00u\x00", "lacks the columns"),
        (b"\xff\xfeN\x00u", "no text file"),
        (b"\x89PNG\r\n\x1a\n\0\x81", "is a picture, not text"),
        (b"\xff\xd8\xff\xe0\0\x81", "is a picture, not text"),
        (b"BM\x81\0\x81", "is no text file: save it as UTF-8"),
        *(
            (f"sep={mark}\nNumber,Place\n".encode(), "is no separator: name one such as")
            for mark in ["", '"', "a", " ", ";;"]
        ),
    ],
)
def test_what_is_refused_says_what_was_seen(data: bytes, says: str) -> None:
    with pytest.raises(NotATable, match=says):
        read_table(data, COLUMNS)


def test_an_encoding_that_gives_what_is_no_text() -> None:
    with pytest.raises(NotATable, match="not text in utf-7"):
        read_table(b"Number,Place\n1,+2AA-\n", COLUMNS, "utf-7")


def test_a_line_is_in_one_row_whatever_its_quotes() -> None:
    text = 'Number,Place\n1,"A\n2,B\n3,"C"\n4,"D"x\n\n5,"E\nF"\n6,"G\n'
    table = read_table(text.encode(), COLUMNS)
    rows = [(row.line, row.lines, row.cells[:1], bool(row.fault)) for row in table.rows]
    assert rows == [
        (2, 1, ["1"], True), (3, 1, ["2"], False), (4, 1, ["3"], False), (5, 1, ["4"], True), (6, 1, [], False),
        (7, 2, ["5"], False), (9, 1, ["6"], True),
    ]  # fmt: skip
    assert sum(row[1] for row in rows) + table.header.lines == len(table.lines)
