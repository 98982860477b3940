"""Idempotency keys of requests: how one is written, which requests take one, and what is said of one elsewhere.

The rules are those of draft-ietf-httpapi-idempotency-key-header-06, with Stripe's practice where the draft leaves a
choice; docs/reference/api.md compares them point by point.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import StrEnum
from typing import Any, TypeVar

from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers, status
from rest_framework.exceptions import APIException, ErrorDetail, ValidationError
from rest_framework.request import Request

from celery_config.web.fields import StrictCharField
from celery_config.web.problems import Conflict, Unprocessable

HEADER, FIELD = "Idempotency-Key", "idempotency_key"
REPLAYED = "Idempotent-Replayed"  # Stripe's name
LONGEST_KEY = 255
QUOTED = re.compile(r'"((?:[^"\\]|\\["\\])*)"')
ESCAPED = re.compile(r"\\(.)")
PRINTABLE = re.compile("[ -~]+")

EMPTY = "The key is empty. Give each new request a key of its own, or leave the key out."
TOO_LONG = f"A key has at most {LONGEST_KEY} characters."
UNPRINTABLE = "A key has printable ASCII characters only; a random UUID is a good one."
BADLY_QUOTED = (
    'A key in quotes is one text, such as "8e03978e", with \\" and \\\\ for the quote and the backslash.'
)
DOUBLED = "The header is given twice, or its key has a comma. Give one key; put one with a comma in quotes."
USE_HEADER = f"Send the key as the header {HEADER}."
NOT_TAKEN = (
    f"This request takes no {HEADER}: a repeat of it changes nothing more. Leave the header out. Keys belong to the"
    " POST requests that list the header in /api/docs/."
)
SCHEMA = {
    "type": "string",
    # Plain, without a comma; or in quotes, in which a backslash stands before a quote or a backslash.
    "pattern": (
        r"^(?:[!#-+\--~](?:[ -+\--~]{0,253}[!-+\--~])?"
        r'|"(?:[!#-\[\]-~]|\\["\\])(?:[ !#-\[\]-~]|\\["\\]){0,254}")$'
    ),
}
PARAMETER = OpenApiParameter(
    HEADER,
    SCHEMA,
    OpenApiParameter.HEADER,
    description=f"1 to {LONGEST_KEY} printable ASCII characters; a repeat with the same key does nothing more",
)

View = TypeVar("View", bound=Callable[..., Any])


class KeyReused(Unprocessable):
    default_code = "idempotency_key_reused"
    default_detail = "This Idempotency-Key was used for another request. Use a new key for a new request."


class KeyInFlight(Conflict):
    default_code = "idempotency_key_in_flight"
    default_detail = (
        "Another request with this Idempotency-Key is being carried out. Repeat this one to get its answer."
    )
    wait = 1  # DRF sends it as Retry-After


class KeyGone(APIException):
    """410: what the key made was deleted, or belonged to an erased customer."""

    status_code = status.HTTP_410_GONE
    default_code = "idempotency_key_gone"
    default_detail = "What this Idempotency-Key made is deleted or erased. This request did nothing."


class KeyUse(StrEnum):
    """What a method of a view does with the header."""

    TAKEN = "taken"
    IGNORED = "ignored"  # the body names the operation or event; the caller's client sends the header always
    REFUSED = "refused"


def set_key_use(use: KeyUse, refusal: str = "") -> Callable[[View], View]:
    """Return a decorator that declares what a method of a view does with the header; without one it is refused.

    Args:
        refusal: says where the key belongs.
    """

    def declare(method: View) -> View:
        method.key_use = use  # type: ignore[attr-defined]
        method.key_refusal = refusal  # type: ignore[attr-defined]
        return method

    return declare


def find_key_use(view: Any, method: str) -> tuple[KeyUse, str]:
    """Return what a method of a view class does with the header, and its refusal."""
    handler = getattr(view, method.lower(), None)
    use = getattr(handler, "key_use", KeyUse.REFUSED)
    return use, getattr(handler, "key_refusal", "") or NOT_TAKEN


def parse_key(text: str) -> str:
    """Return the key that a client wrote plainly, as at Stripe, or as a quoted string (RFC 8941), as in the draft.

    Raises:
        ValueError: it is no key; the text says why.
    """
    text = text.strip()
    if text.startswith('"'):
        if not (quoted := QUOTED.fullmatch(text)):
            raise ValueError(BADLY_QUOTED)
        text = ESCAPED.sub(r"\1", quoted[1]).strip()
    if not text:
        raise ValueError(EMPTY)
    if len(text) > LONGEST_KEY:
        raise ValueError(TOO_LONG)
    if not PRINTABLE.fullmatch(text):
        raise ValueError(UNPRINTABLE)
    return text


def read_key(request: Request) -> str:
    """Return the key in a request's header; empty without one.

    Raises:
        ValidationError: the header holds no key, or two.
    """
    text = request.headers.get(HEADER)
    if text is None:
        return ""
    try:
        # A server joins the values of a header that comes twice with commas.
        if "," in text and not QUOTED.fullmatch(text.strip()):
            raise ValueError(DOUBLED)
        return parse_key(text)
    except ValueError as error:
        raise refuse_key(HEADER, str(error)) from error


def refuse_key(field: str, detail: str) -> ValidationError:
    return ValidationError({field: [ErrorDetail(detail, "invalid_key")]})


class KeyField(StrictCharField):
    """A key in a body, with the rules of the header."""

    def __init__(self, **options: Any) -> None:
        super().__init__(error_messages={"blank": EMPTY}, **options)

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        try:
            return parse_key(text)
        except ValueError as error:
            raise serializers.ValidationError(str(error), code="invalid_key") from error
