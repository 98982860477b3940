"""Values that the messages of several services contain. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Line:
    """A quantity, in units, of one product."""

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
    """A number of rows of a table."""

    table: str
    rows: int
