"""Process tuning: the garbage collector of a long-lived process."""

from __future__ import annotations

import gc

OBJECTS = 20_000


def tune_gc() -> None:
    """Exclude all present objects from collection and collect less often: a batch makes thousands of objects.

    Call it after everything is imported.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(OBJECTS)
