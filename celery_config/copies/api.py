"""The HTTP API of copies: the state of each, how it differs from its source, and reads of a row."""

from __future__ import annotations

import threading
import time
from datetime import datetime
from typing import Any, TypedDict

from django.core.exceptions import ValidationError as InvalidKey
from django.http import HttpResponse
from django.urls import URLPattern, path
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import exceptions, generics, serializers, status
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from celery_config.copies import freshness, sync
from celery_config.copies.models import CopiedRow, CopyState
from celery_config.copies.published_api import MAX_ROWS, RowPage, json_response
from celery_config.copies.readers import CopyReader
from celery_config.copies.registry import copies
from celery_config.copies.source_client import open_source
from celery_config.http.service_client import ServiceCallError
from celery_config.web.filters import check_given_once
from celery_config.web.permissions import find_table_needs
from celery_config.web.problems import BUSY_SECONDS, ApiError
from celery_config.web.refusals import Refusal, Refusals
from celery_config.web.schema import describe_type
from celery_config.web.text import has_unstorable_text

PATIENCE_SECONDS = 10.0
"""For changes that are on their way while copies are compared."""
MAX_DIGITS = 18
WAIT_SECONDS, FIRST_PAUSE, MAX_PAUSE = 1.0, 0.01, 0.1
MOST_WAITING = 2
waiting = threading.BoundedSemaphore(MOST_WAITING)
"""Each that waits has a thread of the web, and who may read a row could otherwise take them all."""


class CopyDescription(TypedDict):
    """`lag_seconds` is null when it was not measured lately."""

    name: str
    source: str
    lag_seconds: float | None
    looked_at: datetime | None
    checked_at: datetime | None
    rows: int | None
    differing: int | None


class CopyDescriptions(TypedDict):
    copies: list[CopyDescription]


class CopiesList(APIView):
    needs = find_table_needs(CopyState)

    @extend_schema(responses={200: describe_type(CopyDescriptions)})
    def get(self, request: Request) -> Response:
        """The copies that this service keeps: the lag of each, and the result of its last comparison."""
        return Response({"copies": [freshness.describe_state(state) for state in freshness.list_states()]})


class DifferencesOutput(serializers.Serializer[Any]):
    name = serializers.CharField(help_text="the name of the copy")
    rows = serializers.IntegerField(help_text="rows at the source, deleted ones included")
    differing = serializers.IntegerField()
    keys = serializers.ListField(child=serializers.CharField(), help_text="the first of the rows that differ")


class CopyDifferences(APIView):
    """The copies of this service compared with their sources now, for the audit."""

    refusals: Refusals = {"GET": [Refusal(status.HTTP_503_SERVICE_UNAVAILABLE, "source_away")]}

    @extend_schema(operation_id="copy_differences", responses=DifferencesOutput(many=True))
    def get(self, request: Request) -> Response:
        """The rows in which a copy differs from its source. A change under way gets ten seconds to arrive."""
        try:
            found = [
                (copy.name, sync.compare(open_source(copy), patience=PATIENCE_SECONDS))
                for copy in copies.values()
            ]
        except ServiceCallError as error:
            raise ApiError(
                f"A copy cannot be compared now: {error}",
                status_code=status.HTTP_503_SERVICE_UNAVAILABLE,
                code="source_away",
                wait=BUSY_SECONDS,
            ) from error
        return Response(
            [
                {"name": name, "rows": each.rows, "differing": each.differing, "keys": each.keys}
                for name, each in found
            ]
        )


class CopyRows(APIView):
    """The rows of a copy, for its source alone, which recovers from an older backup by them."""

    known_names = copies.keys()

    @extend_schema(
        operation_id="copy_rows_retrieve",
        parameters=[OpenApiParameter("after", str, description="the last key of the page before")],
        responses={200: describe_type(RowPage)},
    )
    def get(self, request: Request, name: str) -> HttpResponse:
        """Rows in the order of their keys, with the versions that they had at their source."""
        if (copy := copies.get(name)) is None:
            raise NotFound("This service keeps no copy of this name.")
        check_given_once(request)
        after = request.query_params.get("after")
        try:
            if has_unstorable_text(after):
                raise InvalidKey("NUL")
            rows = CopyReader(copy).read_range(after, None, MAX_ROWS)
        except InvalidKey as error:
            raise ValidationError({"after": "not a key"}) from error
        return json_response({"fields": copy.fields, "rows": rows, "more": len(rows) == MAX_ROWS})


class CopyBehind(exceptions.APIException):
    """425: the copy does not have this version yet."""

    status_code = status.HTTP_425_TOO_EARLY
    default_code = "copy_behind"
    default_detail = "This service's copy does not have this version of the row yet. Try again."
    wait = 1  # DRF sends it as Retry-After


class CopiedDetail(generics.GenericAPIView[Any]):
    """A row of a copy. Subclasses set `queryset` (all rows, tombstones included) and `serializer_class`."""

    lookup_url_kwarg = "pk"
    refusals: Refusals = {"GET": [CopyBehind]}

    @extend_schema(
        parameters=[
            OpenApiParameter(
                "min_version",
                {"type": "integer", "minimum": 0, "maximum": 10**MAX_DIGITS - 1},
                description="wait for this version, for at most a second, or not at all if others wait",
            )
        ]
    )
    def get(self, request: Request, **_: Any) -> Response:
        """The row at `min_version` or later; 425 `copy_behind` with Retry-After if the copy does not have it yet."""
        wanted = read_min_version(request)
        row = self.find_row()
        if row is None and wanted == 0:
            raise NotFound
        if row is None or row.version < wanted:
            row = self.wait_for_row(wanted)
        if row.deleted:
            raise NotFound
        return Response(self.get_serializer(row).data)

    def wait_for_row(self, wanted: int) -> CopiedRow:
        """Return the row once it has this version.

        Raises:
            CopyBehind: it does not have it in time, or enough requests wait already.
        """
        if not waiting.acquire(blocking=False):
            raise CopyBehind
        try:
            ends, pause = time.monotonic() + WAIT_SECONDS, FIRST_PAUSE
            while time.monotonic() + pause < ends:
                time.sleep(pause)  # the worker, another process, writes the row
                pause = min(2 * pause, MAX_PAUSE)
                if (row := self.find_row()) and row.version >= wanted:
                    return row
            raise CopyBehind
        finally:
            waiting.release()

    def find_row(self) -> CopiedRow | None:
        row: CopiedRow | None = self.get_queryset().filter(pk=self.kwargs[self.lookup_url_kwarg]).first()
        return row


def read_min_version(request: Request) -> int:
    check_given_once(request)
    text = request.query_params.get("min_version", "0")
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS):
        raise ValidationError({"min_version": "must be a whole number"})
    return int(text)


urlpatterns: list[URLPattern] = [
    path("api/copies/", CopiesList.as_view(), name="copies"),
    path("api/copies/differences/", CopyDifferences.as_view(), name="copy-differences"),
    path("api/copies/<slug:name>/", CopyRows.as_view(), name="copy-rows"),
]
