"""Middleware of every service: each request has an id, and views never see a hostile address or body."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import unquote_to_bytes
from uuid import uuid4

import structlog
from django.conf import settings
from django.core.exceptions import BadRequest, PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.gzip import GZipMiddleware
from rest_framework.permissions import SAFE_METHODS

from celery_config.common.correlation import HTTP_HEADER, check_request_id
from celery_config.failpoints.points import Point, reach
from celery_config.web.client_addresses import is_internal
from celery_config.web.idempotency_keys import FIELD, HEADER, USE_HEADER, KeyUse, find_key_use

URL_ENCODED, MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data"
UTF_8 = ("utf-8", "utf8", "us-ascii")


class EncodingRefused(BadRequest):
    """The body is compressed, or in a charset other than UTF-8."""


class KeyMisplaced(BadRequest):
    """The request has an Idempotency-Key and takes none; the text says where keys belong."""


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
        # A proxy or a client may name it.
        request_id = check_request_id(request.headers.get(HTTP_HEADER)) or str(uuid4())
        structlog.contextvars.clear_contextvars()
        endpoint = f"{request.method} {request.path_info.rstrip('/').rpartition('/')[2]}"
        structlog.contextvars.bind_contextvars(request_id=request_id, endpoint=endpoint)
        response = self.get_response(request)
        reach(Point.RESPONSE_PENDING)
        response[HTTP_HEADER] = request_id
        return response


class PageCompressionMiddleware(GZipMiddleware):
    """Compresses the pages of the admin, which are long; answers of the API are short, and each order has one.

    Django adds a random length to each page, so that its length does not tell what it holds.
    """

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if not request.path_info.startswith("/admin/"):
            return response
        return super().process_response(request, response)


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

    Other services call at `INTERNAL_PORT`, which is not reachable from outside: there plain HTTP is answered.
    """

    exempt = ("/healthz", "/readyz", "/flowz", "/metrics")

    def check_request(self, request: HttpRequest) -> None:
        if settings.TLS and not (
            is_internal(request) or request.is_secure() or request.path_info in self.exempt
        ):
            raise HttpsRequired("HTTPS is required here.")


class NoNulMiddleware(Middleware):
    """Refuses NUL in an address, because PostgreSQL cannot store it. API views check the parameters of a query."""

    def check_request(self, request: HttpRequest) -> None:
        is_page = not request.path_info.startswith("/api/")
        if "\0" in request.path or (is_page and "%00" in request.get_full_path()):
            raise BadRequest("NUL in the address")


class BodyLimitMiddleware(Middleware):
    """Bounds every body before anything reads it: DATA_UPLOAD_MAX_MEMORY_SIZE bytes, not compressed, in UTF-8.

    DRF's parsers and Django's files bypass Django's own check. To decode what the limit allows takes minutes in some
    charsets (punycode).
    """

    def check_request(self, request: HttpRequest) -> None:
        check_encoding(request)
        check_form(request)


class KeyPlacementMiddleware(Middleware):
    """Refuses a key where none is taken, or in the address: the client would believe that a repeat is harmless."""

    def process_view(self, request: HttpRequest, view: Any, *_: Any) -> None:
        method, api_view = request.method or "", getattr(view, "cls", None)
        if method in SAFE_METHODS or not hasattr(api_view, method.lower()):
            return  # the answer to a method that the view does not have is 405
        in_address = FIELD in request.GET
        if not in_address and HEADER not in request.headers:
            return
        use, refusal = find_key_use(api_view, method)
        if use is KeyUse.REFUSED:
            raise KeyMisplaced(refusal)
        if in_address and use is KeyUse.TAKEN:
            raise KeyMisplaced(f"A key in the address is not read. {USE_HEADER}")


def check_encoding(request: HttpRequest) -> None:
    """
    Raises:
        EncodingRefused: the body is compressed, or not in UTF-8.
    """
    coding = request.headers.get("Content-Encoding", "identity")
    if coding.strip().lower() != "identity":
        raise EncodingRefused("Send the body as it is: this service takes no Content-Encoding.")
    if (request.content_params or {}).get("charset", "utf-8").strip().lower() not in UTF_8:
        raise EncodingRefused("Send the body in UTF-8: this service takes no other charset.")


def check_form(request: HttpRequest) -> None:
    """Django reads what is not UTF-8 in a form, such as half a surrogate pair, as replacement characters.

    Raises:
        BadRequest: the body is a form, and not UTF-8.
    """
    body = request.body
    if request.content_type == URL_ENCODED:
        body = unquote_to_bytes(body)
    elif request.content_type != MULTIPART:
        return
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise BadRequest("The form is not UTF-8") from error
