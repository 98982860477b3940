"""Python's garbage collector, for processes that live long."""

from __future__ import annotations

import gc

OBJECTS = 20_000


def tune_gc() -> None:
    """Leave what is there now alone for good, and look for garbage less often: a batch makes thousands of objects.

    Called once everything is imported.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(OBJECTS)
