"""Isolation: of many items that are handled together, one that fails harms only itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

Item = TypeVar("Item")


def run_isolated(
    items: Sequence[Item],
    run: Callable[[Sequence[Item]], int],
    set_aside: Callable[[Item, Exception], None],
    *,
    passed_on: tuple[type[Exception], ...],
) -> int:
    """Run all items together; if that fails, each half, and so on; return the sum of what `run` returned.

    Args:
        run: handles all or none of its items, and returns how many it handled.
        set_aside: gets each item that fails alone, with its error.
        passed_on: errors that are no item's fault: a server is away.

    Raises:
        those errors; what was handled before stays so.
    """
    if not items:
        return 0
    try:
        return run(items)
    except passed_on:
        raise
    except Exception as error:
        if len(items) == 1:
            set_aside(items[0], error)
            return 0
    middle = len(items) // 2
    return sum(
        run_isolated(half, run, set_aside, passed_on=passed_on) for half in (items[:middle], items[middle:])
    )
