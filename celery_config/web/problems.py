"""Every API error as RFC 9457 problem details with a stable code."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import structlog
from django.core.exceptions import PermissionDenied
from django.db import InterfaceError, OperationalError
from django.http import Http404
from rest_framework import exceptions, status
from rest_framework.response import Response
from rest_framework.views import exception_handler

from celery_config.errors import (
    EventUnreadable,
    OperatorRefused,
    SagaPaused,
    SignatureInvalid,
    SignatureStale,
)
from celery_config.http.service_client import ServiceCallError

log = structlog.get_logger(__name__)

PROBLEM_TYPE = "application/problem+json"


class Conflict(exceptions.APIException):
    """409: the request is right but comes too late, or contradicts an earlier one."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "conflict"
    default_detail = "The request contradicts the present state."


class Unprocessable(exceptions.APIException):
    """422: well-formed, but it cannot be done."""

    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    default_code = "unprocessable"
    default_detail = "The request cannot be carried out."


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


class Paused(exceptions.APIException):
    """503: an operator holds up what was asked for."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_code = "paused"


class OperatorConflict(Conflict):
    default_code = "operator_refused"


class PeerSilent(exceptions.APIException):
    """502: another service did not answer, or refused."""

    status_code = status.HTTP_502_BAD_GATEWAY
    default_code = "peer_failed"


class WrongSignature(exceptions.APIException):
    """400: the sender of an event does not know the secret."""

    status_code = status.HTTP_400_BAD_REQUEST
    default_code = "invalid_signature"


class OldSignature(WrongSignature):
    default_code = "stale_signature"


class NoEvent(WrongSignature):
    default_code = "unreadable_event"


class Busy(exceptions.APIException):
    """503: the database is away, or somebody holds the row for too long."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_code = "busy"
    default_detail = "This cannot be answered at the moment. Try again, with the same Idempotency-Key."


ANSWERS: dict[type[Exception], type[exceptions.APIException]] = {
    SagaPaused: Paused,
    OperatorRefused: OperatorConflict,
    ServiceCallError: PeerSilent,
    SignatureInvalid: WrongSignature,
    SignatureStale: OldSignature,
    EventUnreadable: NoEvent,
}


def to_api_error(error: Exception) -> Exception:
    """The HTTP answer that an error of the engine stands for; others as they are."""
    if isinstance(error, OperationalError | InterfaceError):
        log.error("database busy or away", error=str(error))
        return Busy()
    kind = ANSWERS.get(type(error))
    return kind(str(error)) if kind else error


def build_problem(error: exceptions.APIException, status_code: int) -> dict[str, Any]:
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status_code).phrase,
        "status": status_code,
    }
    if isinstance(error, exceptions.ValidationError):
        fields = list(flatten_details(error.get_full_details()))
        return body | {
            "title": "Invalid input.",
            "detail": fields[0]["detail"],
            "code": "invalid",
            "errors": fields,
        }
    detail = error.get_full_details()
    assert isinstance(detail, dict)
    return body | {"detail": detail["message"], "code": detail["code"]}


def flatten_details(details: Any, path: str = "") -> Any:
    """Every leaf of DRF's nested error details as `field`, `code`, `detail`."""
    if isinstance(details, dict) and set(details) == {"message", "code"}:
        yield {"field": path, "code": details["code"], "detail": str(details["message"])}
    elif isinstance(details, dict):
        for key, value in details.items():
            yield from flatten_details(
                value, path if key == "non_field_errors" else f"{path}.{key}".lstrip(".")
            )
    else:
        for index, value in enumerate(details):
            nested = isinstance(value, dict) and set(value) != {"message", "code"}
            yield from flatten_details(value, f"{path}[{index}]" if nested else path)
