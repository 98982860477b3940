"""The report of refused invoices: a CSV file that opens in a spreadsheet and runs nothing there."""

from __future__ import annotations

import csv
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from order_project.importing.invoices import Fault

NAME = "import_orders-report.csv"


def open_report(path: Path) -> TextIO:
    """Open the file for writing, and make its folder.

    Raises:
        OSError: the place cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("w", encoding="utf-8", newline="")


def open_default_report(folder: Path) -> tuple[TextIO, str]:
    """Open the report in this folder, or else among the temporary files; return it with the reason, if there is one.

    Raises:
        OSError: neither can be written.
    """
    try:
        return open_report(folder / NAME), ""
    except OSError as error:
        place = Path(tempfile.gettempdir()) / NAME
        reason = (
            f"{folder} cannot be written ({error.strerror}); the report goes to {place}. --report chooses."
        )
        return open_report(place), reason


def write_header(out: TextIO) -> None:
    csv.writer(out).writerow(["line", "invoice", "code", "detail"])


def write_faults(out: TextIO, faults: Sequence[Fault]) -> None:
    rows = ((f.line or "", disarm(f.invoice), f.code, disarm(f.detail)) for f in faults)
    csv.writer(out).writerows(rows)
    out.flush()


def disarm(text: str) -> str:
    """Put an apostrophe before what a spreadsheet would take for a formula, whatever it takes for the end of a cell."""
    return re.sub(r"""(^|[,;|\t\r\n])([\s"']*[=+\-@＝＋－＠])""", r"\1'\2", text)
