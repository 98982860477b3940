"""Grouping: many items are split by a key, in the order in which they came. Pure."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)


def group_by(key: Callable[[T], K], items: Iterable[T]) -> dict[K, list[T]]:
    """Return the items by their key."""
    groups: dict[K, list[T]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


def split_unique(items: Sequence[T], key: Callable[[T], Hashable]) -> list[list[T]]:
    """Split the items so that no key is twice in one part: items of the same key run one after the other."""
    parts: list[list[T]] = []
    seen: dict[Hashable, int] = {}
    for item in items:
        number = seen[key(item)] = seen.get(key(item), -1) + 1
        if number == len(parts):
            parts.append([])
        parts[number].append(item)
    return parts


def split_chunks(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def join_some(names: Sequence[str], most: int) -> str:
    """The first names of a list that may be long, as text."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
