"""Bodies of requests: any body is parsed or refused with 400, and none breaks the parser."""

from __future__ import annotations

from typing import Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser
from rest_framework.request import Request
from rest_framework.serializers import Serializer


class NestingSafeJsonParser(JSONParser):
    def parse(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().parse(*args, **kwargs)
        except RecursionError as error:
            raise ParseError("JSON parse error - nested too deeply") from error


def parse_body(serializer: type[Serializer[Any]], request: Request) -> Any:
    """The valid data of a request's body."""
    given = serializer(data=request.data)
    given.is_valid(raise_exception=True)
    return given.validated_data
