"""Samples of contracts and data: any value of the right type, where a test does not look at it."""

from __future__ import annotations

import dataclasses
import types
import typing
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

SAMPLES: dict[Any, Any] = {
    UUID: UUID(int=1), int: 1, float: 1.5, bool: True, str: "text", datetime: datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
}  # fmt: skip


def make_sample(kind: Any) -> Any:
    """Return a value of this type, or of the first of several; a contract has all of its fields.

    Raises:
        TypeError: no sample is known of this type.
    """
    if kind in SAMPLES:
        return SAMPLES[kind]
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return make_sample(next(part for part in parts if part is not type(None)))
    if origin in (tuple, list):
        return origin([make_sample(parts[0])])
    if origin is dict:
        return {make_sample(parts[0]): make_sample(parts[1])}
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        return kind(**{field.name: make_sample(hints[field.name]) for field in dataclasses.fields(kind)})
    raise TypeError(f"There is no sample of {kind}: write the record by hand.")
