"""How a long-lived process starts: what it checks, and how its garbage collector is tuned."""

from __future__ import annotations

import gc

OBJECTS = 20_000
START_CHECKS = ["wiring"]
"""The tags of the system checks with which web and worker start: those that need no database, which may be away."""


def tune_gc() -> None:
    """Exclude all present objects from collection and collect less often: a batch makes thousands of objects.

    Call it after everything is imported.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(OBJECTS)
