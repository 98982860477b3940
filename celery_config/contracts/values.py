"""Values that the messages of several services contain. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields

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

    # The country decides about taxes, so it stays after an erasure.
    personal = ("name", "line1", "line2", "city", "region", "postal_code")

    name: str
    line1: str
    city: str
    postal_code: str
    country: str
    line2: str = ""
    region: str = ""


def digest_address(parts: Mapping[str, object]) -> str:
    """Return the SHA-256 (hex) of an address, with which two services compare theirs without sending it.

    Empty parts do not count, so that releases agree which do not all know them; of an erased address it is empty.
    """
    names = [field.name for field in fields(Address)]
    filled = {name: parts[name] for name in names if parts.get(name)}
    # The country stays after an erasure.
    if not filled.keys() - {"country"}:
        return ""
    return hashlib.sha256(json.dumps(filled, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Counted:
    """A number of rows of a table."""

    table: str
    rows: int
