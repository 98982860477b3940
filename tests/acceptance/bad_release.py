"""A worker of inventory of a bad release: one field more is required of each line, and no sender knows it.

`python -m tests.acceptance.bad_release inventory worker …`
"""

from __future__ import annotations

import sys
from dataclasses import make_dataclass

from celery_config.contracts import values


def require_field() -> None:
    """Change the contract before anything reads it."""
    fields = [(name, kind) for name, kind in values.Line.__annotations__.items()]
    changed = make_dataclass("Line", [*fields, ("warehouse", "str")], frozen=True, kw_only=True)
    values.Line = changed  # type: ignore[assignment, misc]


if __name__ == "__main__":
    require_field()
    from manage import run

    sys.exit(run(sys.argv))
