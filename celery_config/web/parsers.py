"""Bodies of requests: any body is parsed or refused with 400; none breaks the parser, and none means two things.

`BodyLimitMiddleware` has bounded the bytes. Depth and number of values are bounded here, before the parser builds them;
Django bounds the fields of forms.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from json import JSONDecodeError
from typing import Any, NoReturn

from django.conf import settings
from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser
from rest_framework.request import Request
from rest_framework.serializers import Serializer

from celery_config.web.text import make_printable

MAX_NAME = 100
MAX_DEPTH = 64
MAX_VALUES = 250_000
"""More than a full batch of orders has, and a fifth of what fits into the longest body."""
# Possessive, and a string without an end ends with the body: the time grows with the length alone.
STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\Z)', re.DOTALL)
NO_BRACKETS = re.compile(r"[^][}{]+")


class RepeatedField(ValueError):
    """An object has two fields of one name; readers do not agree which of them counts."""


class BodyOutOfBounds(ValueError):
    """The body is nested too deeply, or has too many values or fields; the text says which."""


class StrictDecoder(json.JSONDecoder):
    """Reads what JSON is: no field twice in an object, no NaN, no Infinity, and no number that becomes one."""

    def __init__(self) -> None:
        super().__init__(
            object_pairs_hook=make_object, parse_constant=refuse_constant, parse_float=parse_finite
        )


class NestingSafeJsonParser(JSONParser):
    """JSON in UTF-8, as RFC 8259 requires; other charsets were refused before."""

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        try:
            text = stream.read().decode()
            check_bounds(text)
            return json.loads(text, cls=StrictDecoder)
        except (ValueError, RecursionError) as error:
            raise ParseError(f"JSON parse error - {describe_fault(error)}") from error


def check_bounds(text: str) -> None:
    """
    Raises:
        BodyOutOfBounds: it has more levels than MAX_DEPTH, or more values than MAX_VALUES.
    """
    # What strings contain is counted, too: a text within these bounds needs no closer look.
    opened, more = text.count("[") + text.count("{"), text.count(",")
    if opened <= MAX_DEPTH and opened + more <= MAX_VALUES:
        return
    text = STRING.sub("", text)
    if text.count("[") + text.count("{") + text.count(",") > MAX_VALUES:
        raise BodyOutOfBounds(f"more than {MAX_VALUES} values")
    depth = 0
    for bracket in NO_BRACKETS.sub("", text):
        depth += 1 if bracket in "[{" else -1
        if depth > MAX_DEPTH:
            raise BodyOutOfBounds("nested too deeply")


def refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


def parse_finite(digits: str) -> float:
    if not math.isfinite(number := float(digits)):
        raise ValueError(digits)
    return number


def make_object(members: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Return the members of a JSON object.

    Raises:
        RepeatedField: a name stands there twice.
        BodyOutOfBounds: it has more fields than a form may have.
    """
    if len(members) > settings.DATA_UPLOAD_MAX_NUMBER_FIELDS:
        raise BodyOutOfBounds(f"more than {settings.DATA_UPLOAD_MAX_NUMBER_FIELDS} fields in one object")
    found: dict[str, Any] = {}
    for name, value in members:
        if name in found:
            raise RepeatedField(name)
        found[name] = value
    return found


def describe_fault(error: Exception) -> str:
    """What is wrong with a body, in words that do not depend on Python's."""
    match error:
        case RecursionError():
            return "nested too deeply"
        case UnicodeError():
            return "the body is not utf-8"
        case BodyOutOfBounds():
            return str(error)
        case RepeatedField():
            return f"the field {make_printable(str(error)[:MAX_NAME])!r} is given twice in one object"
        case JSONDecodeError():
            return f"{error.msg}: line {error.lineno} column {error.colno}"
    return "a number is too long or too large, or is NaN or Infinity"


def parse_body(serializer: type[Serializer[Any]], request: Request) -> Any:
    """The valid data of a request's body."""
    given = serializer(data=request.data)
    given.is_valid(raise_exception=True)
    return given.validated_data
