"""The long form of tests: every case, and as many of each as the pages say. `make verify` runs it.

`make test` runs the short form, which draws some of the cases by a seed.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from random import Random
from typing import TypeVar

T = TypeVar("T")
VARIABLE, SEED = "LONG_FORM", 20261130


def is_long() -> bool:
    return bool(os.environ.get(VARIABLE))


def draw(cases: Sequence[T], count: int) -> list[T]:
    """Return so many of the cases, in their order; all of them when there are no more, and in the long form."""
    if is_long() or count >= len(cases):
        return [*cases]
    return [cases[n] for n in sorted(Random(SEED).sample(range(len(cases)), count))]
