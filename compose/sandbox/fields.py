"""Reads the fields of a JSON object and says exactly which one is wrong, and why."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from compose.sandbox.http import InvalidRequest

CURRENCY = re.compile(r"[A-Z]{3}")
COUNTRY = re.compile(r"[A-Z]{2}")
MAX_AMOUNT = 10**12
MAX_TEXT = 500
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Fields:
    """The fields of one JSON object; `done()` refuses those nobody asked for."""

    def __init__(self, values: Mapping[str, Any], within: str = "") -> None:
        self._values = dict(values)
        self._within = within

    def integer(self, name: str, *, minimum: int = 1, maximum: int = MAX_AMOUNT) -> int:
        """A required whole number between `minimum` and `maximum`, both included."""
        value = self._take(name)
        if type(value) is not int or not minimum <= value <= maximum:
            raise self._wrong(name, f"must be a whole number from {minimum} to {maximum}", value)
        return value

    def seconds(self, name: str, *, default: float, maximum: float) -> float:
        """An optional number of seconds from 0 to `maximum`."""
        value = self._values.pop(name, default)
        if type(value) not in (int, float) or not 0 <= value <= maximum:
            raise self._wrong(name, f"must be a number of seconds from 0 to {maximum:g}", value)
        return float(value)

    def text(self, name: str, *, pattern: re.Pattern[str] | None = None) -> str:
        """A required text of 1 to 500 characters that matches `pattern` as a whole."""
        value = self._take(name)
        if not isinstance(value, str) or not 0 < len(value.strip()) <= MAX_TEXT:
            raise self._wrong(name, f"must be a text of 1 to {MAX_TEXT} characters", value)
        if pattern is not None and not pattern.fullmatch(value):
            raise self._wrong(name, f"must match {pattern.pattern}", value)
        return value

    def mapping(self, name: str, *, required: bool = True) -> dict[str, Any]:
        """A JSON object; an optional one that is missing is empty."""
        value = self._take(name) if required else self._values.pop(name, {})
        if not isinstance(value, dict):
            raise self._wrong(name, "must be a JSON object", value)
        return value

    def done(self) -> None:
        """Raise InvalidRequest when a field is left that the endpoint does not know."""
        if self._values:
            unknown = ", ".join(sorted(self._within + name for name in self._values))
            raise InvalidRequest("unknown_field", f"unknown field: {unknown}; leave it out")

    def _take(self, name: str) -> Any:
        if name not in self._values:
            raise InvalidRequest("missing_field", f"{self._within}{name} is missing")
        return self._values.pop(name)

    def _wrong(self, name: str, rule: str, value: object) -> InvalidRequest:
        return InvalidRequest("invalid_field", f"{self._within}{name} {rule}, not {str(value)[:80]!r}")


def query_integer(query: Mapping[str, str], name: str, default: int, *, minimum: int, maximum: int) -> int:
    """A whole number from the query string."""
    value = query.get(name, str(default))
    if not value.isascii() or not value.isdigit() or not minimum <= int(value) <= maximum:
        rule = f"must be a whole number from {minimum} to {maximum}"
        raise InvalidRequest("invalid_field", f"{name} {rule}, not {value[:80]!r}")
    return int(value)


def query_time(query: Mapping[str, str], name: str) -> int:
    """A moment in ISO 8601 with its zone, as microseconds since 1970; 0 when it is not given."""
    if name not in query:
        return 0
    try:
        moment = datetime.fromisoformat(query[name])
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        rule = "must be an ISO 8601 time with its zone"
        raise InvalidRequest("invalid_field", f"{name} {rule}, not {query[name][:80]!r}")
    return (moment - EPOCH) // timedelta(microseconds=1)
