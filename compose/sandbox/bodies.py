"""What a request may say: msgspec checks bodies and query strings, and the error names the wrong field and why."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, TypeVar

from msgspec import Meta, Struct, ValidationError, convert, field

from compose.sandbox.http import InvalidRequest

Text = Annotated[str, Meta(max_length=500, pattern=r"\S")]
Part = Annotated[str, Meta(max_length=500)]
Amount = Annotated[int, Meta(ge=1, le=10**12)]
T = TypeVar("T", bound=Struct)


class Body(Struct, frozen=True, forbid_unknown_fields=True):
    """A JSON object that may hold no other fields."""


class Empty(Body, frozen=True):
    """Nothing."""


class Authorize(Body, frozen=True):
    amount: Amount
    currency: Annotated[str, Meta(pattern=r"^[A-Z]{3}\Z")]
    token: Annotated[str, Meta(max_length=500, pattern=r"^[\x21-\x7e]+\Z")]
    reference: Text
    metadata: dict[str, Any] = field(default_factory=dict)


class Capture(Body, frozen=True):
    amount: Amount


class Refund(Body, frozen=True):
    authorization: Text
    amount: Amount


class Address(Body, frozen=True, omit_defaults=True):
    """A parcel is taken though parts of its address are unknown."""

    name: Text
    country: Annotated[str, Meta(pattern=r"^[A-Z]{2}\Z")]
    line1: Part = ""
    line2: Part = ""
    city: Part = ""
    region: Part = ""
    postal_code: Part = ""


class Booking(Body, frozen=True):
    reference: Text
    address: Address
    weight_grams: Annotated[int, Meta(ge=1, le=10**9)]
    parcels: Annotated[int, Meta(ge=1, le=999)]


class FaultPlan(Body, frozen=True):
    """A fault for the next `count` calls under `path`; without `seconds` the sandbox's time-out."""

    path: Text
    kind: Text
    count: Annotated[int, Meta(ge=1, le=1_000_000)] = 1
    seconds: Annotated[float, Meta(ge=0, le=3600)] | None = None


class LimitBody(Body, frozen=True):
    """So many calls a second; a call above is told to come again after `retry_after` seconds."""

    per_second: Annotated[int, Meta(ge=1, le=10_000)]
    retry_after: Annotated[float, Meta(ge=0, le=3600)] = 1.0


class FaultQuery(Struct, frozen=True):
    """Which faults are removed; without a path all."""

    path: Part = ""


class PageQuery(Struct, frozen=True):
    after: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    since: Annotated[datetime, Meta(tz=True)] | None = None
    reference: str | None = None


def read(values: Mapping[str, Any], kind: type[T], *, strict: bool = True) -> T:
    """Return the fields of a JSON object, or of a query string, whose values are texts (`strict=False`).

    Raises:
        InvalidRequest: a field is wrong, missing or unknown.
    """
    try:
        return convert(values, kind, strict=strict)
    except ValidationError as error:
        reason = str(error)
        # msgspec says only in its text what kind of error it is.
        missing, unknown = "missing required field" in reason, "contains unknown field" in reason
        code = "missing_field" if missing else "unknown_field" if unknown else "invalid_field"
        raise InvalidRequest(code, reason) from error
