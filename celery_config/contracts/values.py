"""What several services speak of: parts of messages, which belong to none of them alone."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Line:
    """How many units of what."""

    sku: str
    quantity: int


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where the parcel goes; `country` is ISO 3166-1 alpha-2."""

    name: str
    line1: str
    city: str
    postal_code: str
    country: str


@dataclass(frozen=True, kw_only=True)
class Counted:
    """How many rows of which table."""

    table: str
    rows: int
