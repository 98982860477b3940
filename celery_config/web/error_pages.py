"""Error pages: errors that Django answers itself are problem details under /api/ and Django's own pages elsewhere."""

from __future__ import annotations

import sys

from django.core.exceptions import DisallowedHost, RequestDataTooBig
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template import loader
from django.views import defaults
from rest_framework import exceptions, status

from celery_config.web.idempotency_keys import HEADER, refuse_key
from celery_config.web.middleware import EncodingRefused, HttpsRequired, KeyMisplaced
from celery_config.web.problems import PROBLEM_TYPE, ApiError, Busy, build_problem, to_api_error

HOST_NOT_ALLOWED = (
    "The Host header names no host of this service. Use an address that its hosts setting lists."
)
HTTPS_REQUIRED = (
    "This service takes HTTPS alone. A token that this request carried was readable on its way: replace it."
)
UNREADABLE = "The service cannot read this request."
NOTHING_HERE = "There is nothing at this address. /api/docs/ lists all addresses."
INTERNAL_ERROR = (
    "An error occurred in this service. Try again; if it stays, give the operator the X-Request-ID."
)


class BodyTooLarge(exceptions.APIException):
    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_code = "body_too_large"
    default_detail = "The body is too large. Send less in one request."


class EncodingNotTaken(exceptions.APIException):
    status_code = status.HTTP_415_UNSUPPORTED_MEDIA_TYPE
    default_code = "unsupported_encoding"


def is_api(request: HttpRequest) -> bool:
    return request.path_info.startswith("/api/")


def respond(error: exceptions.APIException) -> HttpResponse:
    problem = build_problem(error, error.status_code)
    return JsonResponse(problem, status=error.status_code, content_type=PROBLEM_TYPE)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if not is_api(request):
        return defaults.bad_request(request, exception)
    if isinstance(exception, RequestDataTooBig):
        return respond(BodyTooLarge())
    if isinstance(exception, KeyMisplaced):
        return respond(refuse_key(HEADER, str(exception)))
    if isinstance(exception, EncodingRefused):
        refused = respond(EncodingNotTaken(str(exception)))
        refused["Accept-Encoding"] = "identity"  # RFC 9110, 15.5.16
        return refused
    if isinstance(exception, DisallowedHost):
        return respond(
            ApiError(HOST_NOT_ALLOWED, status_code=status.HTTP_400_BAD_REQUEST, code="host_not_allowed")
        )
    return respond(ApiError(UNREADABLE, status_code=status.HTTP_400_BAD_REQUEST, code="bad_request"))


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    if not is_api(request):
        return defaults.permission_denied(request, exception)
    if isinstance(exception, HttpsRequired):
        return respond(ApiError(HTTPS_REQUIRED, status_code=status.HTTP_403_FORBIDDEN, code="https_required"))
    return respond(exceptions.PermissionDenied())


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if not is_api(request):
        return defaults.page_not_found(request, exception)
    return respond(exceptions.NotFound(NOTHING_HERE))


def server_error(request: HttpRequest) -> HttpResponse:
    cause = sys.exception()
    error = to_api_error(cause) if isinstance(cause, Exception) else None
    if isinstance(error, Busy):
        return service_unavailable(request, error)
    if not is_api(request):
        return defaults.server_error(request)
    return respond(
        ApiError(INTERNAL_ERROR, status_code=status.HTTP_500_INTERNAL_SERVER_ERROR, code="internal_error")
    )


def service_unavailable(request: HttpRequest, error: Busy) -> HttpResponse:
    """The answer while the database is away, busy or read-only."""
    if is_api(request):
        answer = respond(error)
    else:
        answer = HttpResponse(loader.get_template("503.html").render(), status=error.status_code)
    answer["Retry-After"] = str(error.wait)
    return answer


# Django looks for these names in a service's URL configuration.
HANDLERS = {
    "handler400": bad_request,
    "handler403": permission_denied,
    "handler404": not_found,
    "handler500": server_error,
}
