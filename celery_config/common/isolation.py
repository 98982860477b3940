"""Isolation: of many items that are handled together, one that fails harms only itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import structlog

log = structlog.get_logger(__name__)
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
        set_aside: gets each item that fails alone, with its error; if it fails, too, that is logged.
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
            try:
                set_aside(items[0], error)
            except passed_on:
                raise
            except Exception:
                log.exception("it failed, and cannot be set aside; the others go on", item=str(items[0]))
            return 0
    middle = len(items) // 2
    return sum(
        run_isolated(half, run, set_aside, passed_on=passed_on) for half in (items[:middle], items[middle:])
    )
