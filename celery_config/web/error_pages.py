"""Errors that Django answers before or without a view: problem details under /api/, its own pages elsewhere."""

from __future__ import annotations

from django.core.exceptions import DisallowedHost, RequestDataTooBig
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views import defaults
from rest_framework import exceptions, status

from celery_config.web.problems import PROBLEM_TYPE, build_problem


class BadRequest(exceptions.APIException):
    status_code = status.HTTP_400_BAD_REQUEST
    default_code = "bad_request"
    default_detail = "The request is not one that this service can read."


class HostNotAllowed(BadRequest):
    default_code = "host_not_allowed"
    default_detail = (
        "The Host header names no host of this service. Use an address that its hosts setting lists."
    )


class BodyTooLarge(exceptions.APIException):
    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_code = "body_too_large"
    default_detail = "The body is too large. Send less in one request."


class NoSuchUrl(exceptions.NotFound):
    default_detail = "Nothing is at this address. /api/docs/ lists what there is."


class InternalError(exceptions.APIException):
    default_code = "internal_error"
    default_detail = "Something went wrong here. Try again; if it stays, give the operator the X-Request-ID."


def is_api(request: HttpRequest) -> bool:
    return request.path_info.startswith("/api/")


def respond(error: exceptions.APIException) -> HttpResponse:
    return JsonResponse(
        build_problem(error, error.status_code), status=error.status_code, content_type=PROBLEM_TYPE
    )


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if not is_api(request):
        return defaults.bad_request(request, exception)
    if isinstance(exception, RequestDataTooBig):
        return respond(BodyTooLarge())
    return respond(HostNotAllowed() if isinstance(exception, DisallowedHost) else BadRequest())


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    if not is_api(request):
        return defaults.permission_denied(request, exception)
    return respond(exceptions.PermissionDenied())


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return respond(NoSuchUrl()) if is_api(request) else defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    return respond(InternalError()) if is_api(request) else defaults.server_error(request)


# The names that Django looks for in a service's URL configuration.
HANDLERS = {
    "handler400": bad_request,
    "handler403": permission_denied,
    "handler404": not_found,
    "handler500": server_error,
}
