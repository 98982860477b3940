"""Middleware of every service: each request has an id, and views never see a hostile address or body."""

from __future__ import annotations

import re
from collections.abc import Callable
from uuid import uuid4

import structlog
from django.conf import settings
from django.core.exceptions import BadRequest, PermissionDenied
from django.http import HttpRequest, HttpResponse

from celery_config.failpoints.points import Point, reach

# What a proxy or client may send as an id: nothing that could forge a log line or a header.
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


class HttpsRequired(PermissionDenied):
    """The request came without TLS."""


class Middleware:
    """Passes a request on, unless a subclass raises an error."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        self.check_request(request)
        return self.get_response(request)

    def check_request(self, request: HttpRequest) -> None: ...


class RequestContextMiddleware(Middleware):
    """Gives every request an id, which its log lines and its response carry."""

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.headers.get("X-Request-ID", "")
        request_id = given if REQUEST_ID.fullmatch(given) else str(uuid4())
        structlog.contextvars.clear_contextvars()
        endpoint = f"{request.method} {request.path_info.rstrip('/').rpartition('/')[2]}"
        structlog.contextvars.bind_contextvars(request_id=request_id, endpoint=endpoint)
        response = self.get_response(request)
        reach(Point.RESPONSE_PENDING)
        response["X-Request-ID"] = request_id
        return response


CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'{}; style-src 'self'{}; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


class ContentPolicyMiddleware(Middleware):
    """Lets a page load scripts and styles from this service alone, and none from within the page.

    The admin's pages need `unsafe-eval`: Alpine makes functions of the expressions in attributes, and htmx of the
    filters of its triggers. Unfold colours JSON by `style` attributes, which run nothing. The two policies never
    change, so they are made once: the answer to every order has one.
    """

    pages = CONTENT_POLICY.format("", "")
    admin = CONTENT_POLICY.format(" 'unsafe-eval'", "; style-src-attr 'unsafe-inline'")

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        is_admin = request.path_info.startswith("/admin/")
        response["Content-Security-Policy"] = self.admin if is_admin else self.pages
        return response


class ApiSlashMiddleware(Middleware):
    """Reads an address under /api/ without its last slash as the one with it.

    Django redirects to the slash, and clients follow a redirected POST with a GET: nothing is done, the answer is 200.
    """

    def check_request(self, request: HttpRequest) -> None:
        if f"{request.path_info}/".startswith("/api/") and not request.path_info.endswith("/"):
            request.path_info += "/"
            request.path += "/"


class HttpsMiddleware(Middleware):
    """Refuses what came without TLS. A redirect would hide that its token was in the clear already.

    Other services call at `INTERNAL_PORT`, which is not reachable from outside: there plain HTTP is answered. The port
    is that of the socket; no header can claim it.
    """

    exempt = ("/healthz", "/readyz", "/flowz", "/metrics")

    def check_request(self, request: HttpRequest) -> None:
        internal = request.META["SERVER_PORT"] == str(settings.INTERNAL_PORT)
        if settings.TLS and not (internal or request.is_secure() or request.path_info in self.exempt):
            raise HttpsRequired("HTTPS is required here.")


class NoNulMiddleware(Middleware):
    """Refuses NUL in an address, because PostgreSQL cannot store it. API views check the parameters of a query."""

    def check_request(self, request: HttpRequest) -> None:
        is_page = not request.path_info.startswith("/api/")
        if "\0" in request.path or (is_page and "%00" in request.get_full_path()):
            raise BadRequest("NUL in the address")


class BodyLimitMiddleware(Middleware):
    """Enforces DATA_UPLOAD_MAX_MEMORY_SIZE for the API, where DRF's parsers bypass Django's own check."""

    def check_request(self, request: HttpRequest) -> None:
        if request.path_info.startswith("/api/"):
            _ = request.body
