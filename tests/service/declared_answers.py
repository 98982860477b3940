"""Every answer that a test sees is one that the service's OpenAPI document declares: status, media type and body.

The codes within `errors` are those that the page of errors lists.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any

import jsonschema_rs
from drf_spectacular.generators import SchemaGenerator
from rest_framework.test import APIClient

ERRORS = Path(__file__).resolve().parents[2] / "docs" / "reference" / "errors.md"
PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")
FAULT = HTTPStatus.INTERNAL_SERVER_ERROR
"""A fault of ours, which no document promises."""


class UndeclaredAnswer(AssertionError):
    """The API gave an answer that its document does not have."""


@cache
def read_document() -> dict[str, Any]:
    document: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    return document


@cache
def read_documented_codes() -> set[str]:
    """The codes within `errors` that the page of errors lists."""
    _, _, part = ERRORS.read_text(encoding="utf-8").partition("### Within `errors`")
    rows = re.findall(r"^\| (`.*?`) \|", part.partition("\n#")[0], re.MULTILINE)
    return {code for row in rows for code in re.findall("`([a-z_]+)`", row)}


@contextmanager
def answers_declared() -> Iterator[None]:
    """Check each answer that a client of DRF's gets in this block."""
    send = APIClient.request

    def request(self: APIClient, **arguments: Any) -> Any:
        answer = send(self, **arguments)
        check_answer(answer)
        return answer

    APIClient.request = request  # type: ignore[method-assign]
    try:
        yield
    finally:
        APIClient.request = send  # type: ignore[method-assign]


def check_answer(answer: Any) -> None:
    """
    Raises:
        UndeclaredAnswer: it is not in the document. Methods and addresses that are not there are not judged.
    """
    match = getattr(answer.wsgi_request, "resolver_match", None)
    if match is None or answer.status_code == FAULT:
        return
    path = "/" + PARAMETER.sub(lambda name: "{id}" if name[1] == "pk" else f"{{{name[1]}}}", match.route)
    method = answer.wsgi_request.method.lower()
    if method not in read_document()["paths"].get(path, {}):
        return
    media_type = answer.get("Content-Type", "").partition(";")[0]
    what = f"{method.upper()} {path}: {answer.status_code} {media_type}"
    validator = find_validator(path, method, answer.status_code, media_type)
    if validator is None:
        raise UndeclaredAnswer(f"{what} is not declared: {answer.content[:500]!r}")
    if answer.content:
        try:
            validator.validate(answer.json())
        except jsonschema_rs.ValidationError as error:
            raise UndeclaredAnswer(f"{what} is declared otherwise: {error}") from None
        if answer.status_code == HTTPStatus.BAD_REQUEST:
            given = {each["code"] for each in answer.json().get("errors", ())}
            if unknown := given - read_documented_codes():
                raise UndeclaredAnswer(f"{what} has codes that {ERRORS.name} lacks: {unknown}")


@cache
def find_validator(path: str, method: str, status: int, media_type: str) -> Any:
    """Return what judges the bodies of an answer; None if the document has no such answer."""
    document = read_document()
    declared = document["paths"][path][method]["responses"].get(str(status))
    if declared is None:
        return None
    if "$ref" in declared:
        declared = document["components"]["responses"][declared["$ref"].rpartition("/")[2]]
    content = declared.get("content", {})
    if not content and not media_type:
        return jsonschema_rs.validator_for(False)
    if media_type not in content:
        return None
    schema = {**content[media_type]["schema"], "components": document["components"]}
    return jsonschema_rs.Draft202012Validator(schema, validate_formats=True)
