"""Problem details: every API error is an RFC 9457 document with a stable code."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import structlog
from django.core.exceptions import PermissionDenied
from django.db import InterfaceError, OperationalError
from django.http import Http404
from rest_framework import exceptions, status
from rest_framework.response import Response
from rest_framework.views import exception_handler

from celery_config.db import writes
from celery_config.errors import (
    CallFailed,
    EventUnreadable,
    OperatorRefused,
    OutcomeUnknown,
    Recovering,
    SagaPaused,
    SignatureInvalid,
    SignatureStale,
    StateContradicted,
    StepSuperseded,
)
from celery_config.http.service_client import ServiceCallError
from celery_config.web.text import make_printable

log = structlog.get_logger(__name__)

PROBLEM_TYPE = "application/problem+json"
BUSY_SECONDS = 5
PAUSE_SECONDS = 60  # Retry-After of what ends when a human ends it
ANSWERS: dict[type[Exception], dict[str, Any]] = {
    SagaPaused: {"status_code": status.HTTP_503_SERVICE_UNAVAILABLE, "code": "paused", "wait": PAUSE_SECONDS},
    Recovering: {
        "status_code": status.HTTP_503_SERVICE_UNAVAILABLE,
        "code": "recovering",
        "wait": PAUSE_SECONDS,
    },
    OperatorRefused: {"status_code": status.HTTP_409_CONFLICT, "code": "operator_refused"},
    CallFailed: {"status_code": status.HTTP_424_FAILED_DEPENDENCY, "code": "call_failed"},
    StepSuperseded: {"status_code": status.HTTP_410_GONE, "code": "outlived"},
    OutcomeUnknown: {"status_code": status.HTTP_502_BAD_GATEWAY, "code": "unknown_outcome"},
    ServiceCallError: {"status_code": status.HTTP_502_BAD_GATEWAY, "code": "peer_failed"},
    SignatureInvalid: {"status_code": status.HTTP_400_BAD_REQUEST, "code": "invalid_signature"},
    SignatureStale: {"status_code": status.HTTP_400_BAD_REQUEST, "code": "stale_signature"},
    EventUnreadable: {"status_code": status.HTTP_400_BAD_REQUEST, "code": "unreadable_event"},
}
"""Status and code of the errors that are answered with their own text."""


class ApiError(exceptions.APIException):
    """An error with this status, code and text.

    Args:
        wait: seconds, sent as Retry-After.
    """

    def __init__(self, detail: str, *, status_code: int, code: str, wait: int | None = None) -> None:
        super().__init__(detail, code)
        self.status_code = status_code
        self.wait = wait


class Conflict(exceptions.APIException):
    """409: the request is valid, but it comes too late or contradicts an earlier one."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "conflict"
    default_detail = "The request contradicts the present state."


class Unprocessable(exceptions.APIException):
    """422: the request is well-formed, but it cannot be carried out."""

    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    default_code = "unprocessable"
    default_detail = "The request cannot be carried out."


class Busy(exceptions.APIException):
    """503: the database cannot be reached, or another transaction holds the row for too long."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_code = "busy"
    default_detail = "The service cannot answer this at the moment. Try again, with the same Idempotency-Key."
    wait = BUSY_SECONDS


class DatabaseReadOnly(Busy):
    """503: the database answers and takes no writes: it is a standby, read-only, or its disk is full."""

    default_code = "database_read_only"
    default_detail = (
        "The service's database takes no writes at the moment. Nothing was done; try again, with the same"
        " Idempotency-Key."
    )


def problem_details(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler: `type`, `title`, `status`, `detail`, `code`, and `errors` of each field."""
    error = to_api_error(error)
    response = exception_handler(error, context)
    if response is None:
        return None
    if isinstance(error, Http404):
        error = exceptions.NotFound()
    elif isinstance(error, PermissionDenied):
        error = exceptions.PermissionDenied()
    assert isinstance(error, exceptions.APIException)
    response.data = build_problem(error, response.status_code)
    response.content_type = PROBLEM_TYPE
    return response


def to_api_error(error: Exception) -> Exception:
    """The HTTP answer for a database error or an error in `ANSWERS`; other errors stay as they are."""
    if isinstance(error, OperationalError | InterfaceError):
        if writes.is_refusal(error):
            writes.refused_lately.set()
            log.error("the database takes no writes", error=str(error))
            return DatabaseReadOnly()
        log.error("database busy or away", error=str(error))
        return Busy()
    if isinstance(error, StateContradicted):
        return Conflict(str(error), code=error.code)
    answer = ANSWERS.get(type(error))
    return ApiError(str(error), **answer) if answer else error


def build_problem(error: exceptions.APIException, status_code: int) -> dict[str, Any]:
    body = {"type": "about:blank", "title": HTTPStatus(status_code).phrase, "status": status_code}
    details = error.get_full_details()
    if isinstance(error, exceptions.ValidationError):
        fields = list(flatten_details(details))
        return body | {
            "title": "Invalid input.", "detail": fields[0]["detail"], "code": "invalid", "errors": fields,
        }  # fmt: skip
    assert isinstance(details, dict)
    return body | {"detail": make_printable(str(details["message"])), "code": details["code"]}


def flatten_details(details: Any, path: str = "") -> Iterator[dict[str, Any]]:
    """Every error in DRF's nested details as `field`, `code` and `detail`."""
    if isinstance(details, dict) and set(details) == {"message", "code"}:
        yield {
            "field": make_printable(path),
            "code": details["code"],
            "detail": make_printable(str(details["message"])),
        }
    elif isinstance(details, dict):
        for key, value in details.items():
            yield from flatten_details(
                value, path if key == "non_field_errors" else f"{path}.{key}".lstrip(".")
            )
    else:
        for index, value in enumerate(details):
            nested = isinstance(value, dict) and set(value) != {"message", "code"}
            yield from flatten_details(value, f"{path}[{index}]" if nested else path)
