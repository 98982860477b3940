"""The file of invoices, read into memory as a whole."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path

from order_project.importing.table import NotATable

STANDARD_INPUT = (Path("-"), Path("/dev/stdin"))
MOST_BYTES = 100_000_000
"""More than a million lines. Without a limit a wrong file, or one without an end, takes all memory."""


def read_data(path: Path) -> bytes:
    """Return what the file has.

    Raises:
        NotATable: it is too large.
    """
    # Another user's pipe cannot be opened by its name, as in a container.
    with nullcontext(sys.stdin.buffer) if path in STANDARD_INPUT else path.open("rb") as file:
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise NotATable(
            f"The file is over {MOST_BYTES:,} bytes: split it into several files. Give each the header, and keep the"
            " rows of an invoice together."
        )
    return data
