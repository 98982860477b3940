"""Which rows of an invoice file have a certain invoice number, and whose the others may be. Pure.

The rows of one invoice stand together, so a row without a certain number belongs to the invoice before it, to the one
behind it, or to one of its own. An invoice that may lack such a row is no order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

SHAPE = {"bad_row", "wrong_cells"}
NUMBER = {"bad_invoice", "missing_invoice"}
UNCERTAIN = SHAPE | NUMBER
# Cells that moved by one column show in these, whatever the file is about.
MOVED = {"bad_quantity", "bad_price", "unknown_country"}
UNLIKE = "the file's other invoice numbers have more digits, or fewer"


@dataclass
class Entry:
    """One row: the line where it begins, the lines that it takes, what it means, and the faults, by code, in it."""

    line: int
    lines: int
    values: dict[str, str]
    faults: dict[str, str] = field(default_factory=dict)
    is_certain: bool = True

    @property
    def number(self) -> str:
        return self.values["InvoiceNo"]


@dataclass(frozen=True)
class Gap:
    """Rows, one behind the other, without a certain number, and the invoices beside them."""

    first: int
    last: int
    beside: tuple[str, ...]

    def __str__(self) -> str:
        return f"line {self.first}" if self.first == self.last else f"lines {self.first} to {self.last}"


def judge_numbers(entries: Sequence[Entry]) -> None:
    """Mark the entries whose invoice number is not certain.

    A row that is refused for its shape has a certain number only if a row beside it has the same.
    """
    usual = find_usual_digits(entries)
    for entry in entries:
        if UNCERTAIN.isdisjoint(entry.faults) and is_unlike(entry, usual):
            entry.faults["bad_invoice"] = f"{entry.number!r:.100} is no invoice number: {UNLIKE}"
        entry.is_certain = UNCERTAIN.isdisjoint(entry.faults)
    for gap, beside in list(split_gaps(entries)):
        for entry in gap:
            entry.is_certain = entry.number in beside and NUMBER.isdisjoint(entry.faults)


def find_gaps(entries: Sequence[Entry]) -> list[Gap]:
    return [Gap(gap[0].line, gap[-1].line, beside) for gap, beside in split_gaps(entries)]


def are_together(entries: Sequence[Entry]) -> bool:
    """Say whether the rows of each invoice stand together, so that the place of a row says whose it may be."""
    runs = [number for number, _ in groupby(entry.number for entry in entries if entry.is_certain)]
    return len(runs) == len(set(runs))


def split_gaps(entries: Sequence[Entry]) -> Iterator[tuple[list[Entry], tuple[str, ...]]]:
    """Yield the runs of uncertain entries, each with the numbers of the certain rows beside it."""
    runs = [(certain, list(run)) for certain, run in groupby(entries, lambda entry: entry.is_certain)]
    for at, (certain, run) in enumerate(runs):
        if not certain:
            before = [runs[at - 1][1][-1].number] if at else []
            behind = [runs[at + 1][1][0].number] if at + 1 < len(runs) else []
            yield run, tuple(dict.fromkeys(before + behind))


def find_usual_digits(entries: Sequence[Entry]) -> range:
    """Return how many digits stand together in the numbers of faultless rows; anything, if most have none."""
    counts = [count_digits(entry.number) for entry in entries if not entry.faults]
    some = [count for count in counts if count]
    if not some or 2 * len(some) <= len(counts):
        return range(2**31)
    return range(min(some), max(some) + 1)


def is_unlike(entry: Entry, usual: range) -> bool:
    """Say whether the invoice cell holds something else: it has no digits, or the row's cells have moved."""
    digits = count_digits(entry.number)
    return digits not in usual and (not digits or not MOVED.isdisjoint(entry.faults))


def count_digits(text: str) -> int:
    return max(map(len, re.findall("[0-9]+", text)), default=0)
