"""What every request goes through in every service."""

from __future__ import annotations

import re
from collections.abc import Callable
from io import BytesIO
from uuid import uuid4

import structlog
from django.conf import settings
from django.core.exceptions import BadRequest, RequestDataTooBig
from django.http import HttpRequest, HttpResponse
from gunicorn.http.errors import ParseException

from celery_config.failpoints.points import Point, reach

GetResponse = Callable[[HttpRequest], HttpResponse]

# What a proxy or client may choose: nothing that could forge a log line or a header.
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
CHUNK_BYTES = 65_536
SKIPPED_CHUNKS = 512


class RequestContextMiddleware:
    """Gives every request an id that its log lines and its answer carry."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

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


class NoNulMiddleware:
    """Refuses NUL in an address: PostgreSQL takes none. The API says itself which parameter of a query has one."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        of_a_page = not request.path_info.startswith("/api/")
        if "\0" in request.path or (of_a_page and "%00" in request.get_full_path()):
            raise BadRequest("NUL in the address")
        return self.get_response(request)


class BodyLimitMiddleware:
    """Holds the API to DATA_UPLOAD_MAX_MEMORY_SIZE: DRF's parsers read the stream, past Django's own check.

    Django takes a body without a Content-Length for empty. One in chunks, whose end the server tells, is measured here.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path_info.startswith("/api/"):
            if "chunked" in request.headers.get("Transfer-Encoding", ""):
                measure_body(request)
            try:
                _ = request.body
            except RequestDataTooBig:
                skip_body(request)
                raise
        return self.get_response(request)


def measure_body(request: HttpRequest) -> None:
    """Read a body in chunks up to the limit; what is longer stays longer than allowed, its rest unread."""
    if not request.META.get("wsgi.input_terminated"):
        raise BadRequest("a body in chunks, on a server that does not tell its end")
    stream, limit = request.META["wsgi.input"], settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    try:
        body = stream.read(limit + 1)
    except (OSError, ParseException) as error:
        raise BadRequest("the body was cut off, or its chunks are none") from error
    request.META["CONTENT_LENGTH"] = str(len(body))
    request._stream = stream if len(body) > limit else BytesIO(body)


def skip_body(request: HttpRequest) -> None:
    """Most clients read an answer when all is sent: a connection closed before resets it, and it is lost."""
    for _ in range(SKIPPED_CHUNKS):
        if not request.read(CHUNK_BYTES):
            return
