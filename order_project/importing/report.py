"""The report of refused invoices: a CSV file that opens in a spreadsheet and runs nothing there."""

from __future__ import annotations

import csv
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from celery_config.common.private_folders import make_private_folder, open_privately
from order_project.importing.invoices import Fault

NAME = "import_orders-report.csv"


class NoPlace(Exception):
    """The report may not be written there."""


def open_report(path: Path, source: Path) -> TextIO:
    """Open the file for writing.

    Raises:
        NoPlace: it is the file of invoices, or its folder is not there.
        OSError: the place cannot be written.
    """
    if is_same_file(path, source):
        raise NoPlace(f"{path} is the file of invoices")
    if not path.parent.exists():
        raise NoPlace(f"there is no folder {path.parent}")
    return open(path, "w", encoding="utf-8", newline="", opener=open_privately)


def open_default_report(folder: Path, source: Path) -> tuple[TextIO, str]:
    """Open the report in this folder, or else among the temporary files; return it with the reason, if there is one.

    Raises:
        NoPlace: it is the file of invoices.
        OSError: neither can be written.
    """
    try:
        make_private_folder(folder)
        return open_report(folder / NAME, source), ""
    except OSError as error:
        place = Path(tempfile.gettempdir()) / NAME
        reason = (
            f"{folder} cannot be written ({error.strerror}); the report goes to {place}. --report chooses."
        )
        return open_report(place, source), reason


def is_same_file(path: Path, source: Path) -> bool:
    """Say whether both are one regular file, whatever its names: a terminal may be read and written."""
    try:
        return path.is_file() and path.samefile(source)
    except FileNotFoundError:
        return False


def write_header(out: TextIO) -> None:
    csv.writer(out).writerow(["line", "invoice", "code", "detail"])
    out.flush()


def write_faults(out: TextIO, faults: Sequence[Fault]) -> None:
    rows = ((f.line or "", disarm(f.invoice), f.code, disarm(f.detail)) for f in faults)
    csv.writer(out).writerows(rows)
    out.flush()


def disarm(text: str) -> str:
    """Put an apostrophe before what a spreadsheet would take for a formula, whatever it takes for the end of a cell."""
    return re.sub(r"""(^|[,;|\t\r\n])([\s"']*[=+\-@＝＋－＠])""", r"\1'\2", text)
