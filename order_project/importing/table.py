"""The reader of delimited text: each line of a file is in a row, and a row that cannot be read is one, too. Pure."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
# UTF-32 comes first, since its mark begins with that of UTF-16.
MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16",
}  # fmt: skip
NO_TEXT = {
    b"PK\x03\x04": "an Excel workbook or another zip archive",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"\x1f\x8b": "compressed with gzip",
    b"%PDF": "a PDF",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"GIF8": "a picture",
}
# No letter, digit, quote or space: these are in cells.
SEPARATOR = re.compile(r"""\t|[^\w\s"'\x00-\x1f\x7f]""")
LEGACY = "cp1252"
"""What a file is that is not Unicode: Windows-1252, which has all of Latin-1. Nothing in the file proves it."""


class NotATable(Exception):
    """The file is no table with these columns; nothing was read."""


@dataclass(frozen=True)
class Row:
    """A row with the file's line where it begins, from 1, and the number of lines that it takes.

    `fault` says why it cannot be read; its cells are a guess then.
    """

    line: int
    lines: int
    cells: Sequence[str]
    fault: str = ""

    @property
    def is_empty(self) -> bool:
        return not any(cell.strip() for cell in self.cells)


@dataclass(frozen=True)
class Header:
    """The names of the columns, what separates them, and the number of lines before the first row."""

    names: list[str]
    delimiter: str
    lines: int


@dataclass(frozen=True)
class Table:
    header: Header
    encoding: str
    lines: list[str]

    @property
    def rows(self) -> Iterator[Row]:
        at = self.header.lines
        while at < len(self.lines):
            row = parse_row(self.lines, at, self.header.delimiter, len(self.header.names))
            yield row
            at += row.lines


def read_table(data: bytes, columns: Sequence[str], encoding: str | None = None) -> Table:
    """Read a file that has at least these columns.

    Args:
        encoding: default: recognised.

    Raises:
        NotATable: it is not text, or a column is missing or there twice; the text says what to do.
    """
    text, name = decode_text(data, encoding)
    lines = list(io.StringIO(text, newline=""))
    return Table(find_header(lines, columns), name, lines)


def decode_text(data: bytes, encoding: str | None = None) -> tuple[str, str]:
    """Return the text and the name of its encoding.

    Raises:
        NotATable: it is no text of that encoding, or of any that is recognised.
    """
    for beginning, what in NO_TEXT.items():
        if data.startswith(beginning):
            raise NotATable(f"The file is {what}, not text: save or unpack it as CSV.")
    name = encoding or recognise_encoding(data)
    try:
        text = data.decode(name).removeprefix("\ufeff")
        text.encode()  # some encodings, such as UTF-7, give halves of surrogate pairs
    except UnicodeError as error:
        is_binary = b"\0" in data and not encoding
        what = "no text file" if is_binary else f"not text in {name} ({error})"
        raise NotATable(
            f"The file is {what}: save it as UTF-8, or say what it is with --encoding."
        ) from error
    return text, name


def recognise_encoding(data: bytes) -> str:
    for mark, name in MARKS.items():
        if data.startswith(mark):
            return name
    # A header begins with letters: in UTF-16 every other byte is zero.
    first = [byte == 0 for byte in data[:4]]
    if first in ([False, True] * 2, [True, False] * 2):
        return "utf-16-le" if first[1] else "utf-16-be"
    try:
        data.decode()
    except UnicodeDecodeError:
        return LEGACY
    return "utf-8"


def find_header(lines: list[str], columns: Sequence[str]) -> Header:
    """Return the header; the separator is the one that a line `sep=` names, or that shows the most of the columns.

    Raises:
        NotATable: a column is missing or there twice.
    """
    at = skip_blank_lines(lines, 0)
    named = re.fullmatch(r'"?sep=(.*?)"?[ \r\n]*', lines[at], re.IGNORECASE) if at < len(lines) else None
    if named and not SEPARATOR.fullmatch(named[1]):
        raise NotATable(
            f"The first line names {named[1]!r:.100} as what separates the columns, and that is no separator: name"
            " one such as ; or a tab, or remove the line."
        )
    at = skip_blank_lines(lines, at + 1) if named else at
    if at >= len(lines):
        raise NotATable("The file is empty.")
    found = [read_header(lines, at, mark) for mark in ([named[1]] if named else DELIMITERS)]
    header = max(found, key=lambda each: len({*each.names} & {*columns}))
    separated = f"its columns, separated by {DELIMITERS.get(header.delimiter, repr(header.delimiter))}, are"
    seen = f"{separated} {', '.join(header.names)!r:.300}"
    if missing := [name for name in columns if name not in header.names]:
        raise NotATable(
            f"The file lacks the columns {', '.join(missing)}; it needs {', '.join(columns)}, and {seen}."
        )
    if twice := [name for name in columns if header.names.count(name) > 1]:
        raise NotATable(f"The file has the column {', '.join(twice)} more than once: remove one; {seen}.")
    return header


def skip_blank_lines(lines: Sequence[str], at: int) -> int:
    """Return the index of the first line from this one that is more than spaces and separators."""
    blank = " \r\n" + "".join(DELIMITERS)
    return next((n for n in range(at, len(lines)) if lines[n].strip(blank)), len(lines))


def read_header(lines: list[str], at: int, delimiter: str) -> Header:
    row = parse_row(lines, at, delimiter, len(lines[at]))
    return Header([cell.strip() for cell in row.cells], delimiter, at + row.lines)


def parse_row(lines: list[str], at: int, delimiter: str, width: int) -> Row:
    """Return the row that begins at this index.

    A quote that is not closed is not allowed to swallow the rows behind it: where a line that continues a cell looks
    like a row of its own, or the file ends, the row is this line alone, and a fault.
    """
    reader = csv.reader((lines[n] for n in range(at, len(lines))), delimiter=delimiter, strict=True)
    try:
        cells = next(reader)
    except csv.Error as error:
        is_open = reader.line_num > 1 or "unexpected end" in str(error)
        fault = describe_quote(at) if is_open else f"the row is no valid CSV: {error}"
    else:
        following = lines[at + 1 : at + reader.line_num]
        if not any(width > 1 and line.count(delimiter) >= width - 1 for line in following):
            return Row(at + 1, reader.line_num, cells)
        fault = describe_quote(at)
    guess = [cell.strip('" \r\n') for cell in lines[at].split(delimiter)]
    return Row(at + 1, 1, guess, fault)


def describe_quote(at: int) -> str:
    return f"a quote opens in line {at + 1} and is not closed in its row"
