"""Bodies of requests: any body is parsed or refused with 400; none breaks the parser, and none means two things."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from json import JSONDecodeError
from typing import Any, NoReturn

from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser
from rest_framework.request import Request
from rest_framework.serializers import Serializer

from celery_config.web.text import make_printable

MAX_NAME = 100


class RepeatedField(ValueError):
    """An object has two fields of one name; readers do not agree which of them counts."""


class StrictDecoder(json.JSONDecoder):
    """Reads what JSON is: no field twice in an object, no NaN, no Infinity, and no number that becomes one."""

    def __init__(self) -> None:
        super().__init__(
            object_pairs_hook=make_object, parse_constant=refuse_constant, parse_float=parse_finite
        )


class NestingSafeJsonParser(JSONParser):
    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        encoding = (parser_context or {}).get("encoding") or "utf-8"
        try:
            return json.loads(stream.read().decode(encoding), cls=StrictDecoder)
        except (ValueError, LookupError, RecursionError) as error:
            raise ParseError(f"JSON parse error - {describe_fault(error, encoding)}") from error


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
    """
    found: dict[str, Any] = {}
    for name, value in members:
        if name in found:
            raise RepeatedField(name)
        found[name] = value
    return found


def describe_fault(error: Exception, encoding: str = "utf-8") -> str:
    """What is wrong with a body, in words that do not depend on Python's."""
    match error:
        case RecursionError():
            return "nested too deeply"
        case LookupError():
            return "the charset is unknown; send UTF-8"
        case UnicodeError():
            return f"the body is not {encoding}"
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
