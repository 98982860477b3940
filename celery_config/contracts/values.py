"""Values that the messages of several services contain. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from celery_config.contracts.base import Value


@dataclass(frozen=True, kw_only=True)
class Line:
    """A quantity, in units, of one product."""

    sku: str
    quantity: int


@dataclass(frozen=True, kw_only=True)
class Address(Value):
    """Where the parcel goes; `country` is ISO 3166-1 alpha-2. A part that does not exist there is empty.

    Parts of addresses that were taken earlier, or that an import found, may lack what the country requires.
    """

    name: str
    line1: str
    city: str
    postal_code: str
    country: str
    line2: str = ""
    region: str = ""


@dataclass(frozen=True, kw_only=True)
class Counted:
    """A number of rows of a table."""

    table: str
    rows: int
