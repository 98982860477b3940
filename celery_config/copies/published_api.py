"""The HTTP API of a source: its published rows, their checksums, and their changes."""

from __future__ import annotations

from typing import Any, TypedDict

import msgspec
from django.core.exceptions import ValidationError as InvalidKey
from django.db.models.fields.json import KT
from django.http import HttpResponse
from django.urls import URLPattern, path
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from celery_config.copies.models import MAX_KEY_LENGTH
from celery_config.copies.ranges import Piece, RowVersion, split_by_size
from celery_config.copies.readers import KEYS_PER_REQUEST, SourceReader, stream_rows
from celery_config.copies.registry import Publication, publications
from celery_config.db import functions
from celery_config.messaging.feed import AFTER, open_feed
from celery_config.web.fields import StrictCharField, StrictIntegerField
from celery_config.web.filters import check_given_once
from celery_config.web.parsers import parse_body
from celery_config.web.permissions import Needs, name_permission
from celery_config.web.schema import describe_type

MAX_RANGES, MAX_PIECE_ROWS, MAX_PIECES, MAX_ROWS, MAX_CHANGES = 100, 5000, 200, 5000, 1000
encoder = msgspec.json.Encoder()


class KeyTextField(serializers.CharField):
    """A key as a copy has it, which a false event may have brought: it is looked for, and is not there."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=MAX_KEY_LENGTH, allow_blank=True, trim_whitespace=False, **options)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class BoundsInput(serializers.Serializer[Any]):
    after = KeyTextField(allow_null=True, help_text="null: from the first key")
    upto = KeyTextField(allow_null=True, help_text="null: to the last key")


class FieldsInput(serializers.Serializer[Any]):
    # DRF uses the attribute `fields` itself.
    def get_fields(self) -> Any:
        names = serializers.ListField(
            child=StrictCharField(), help_text="the fields of the contract that the copy keeps"
        )
        known = serializers.ListField(
            child=StrictCharField(),
            default=list,
            help_text="the parts of values with a default that the copy's release knows",
        )
        return {**super().get_fields(), "fields": names, "known": known}


class PiecesInput(FieldsInput):
    ranges = serializers.ListField(child=BoundsInput(), min_length=1, max_length=MAX_RANGES)
    size = StrictIntegerField(min_value=1, max_value=MAX_PIECE_ROWS, help_text="rows of a piece")
    most = StrictIntegerField(min_value=1, max_value=MAX_PIECES, help_text="pieces of a range, at most")


class RowsInput(FieldsInput):
    range = BoundsInput(required=False)
    most = StrictIntegerField(
        min_value=1, max_value=MAX_ROWS, default=MAX_ROWS, help_text="rows of the range, at most"
    )
    keys = serializers.ListField(child=KeyTextField(), required=False, max_length=KEYS_PER_REQUEST)


class PublishedAPI(APIView):
    """A published table, with every field of the contract: for services, and for those who may see the table."""

    known_names = publications.keys()

    @property
    def needs(self) -> Needs:
        # The document of the API is about no name in particular: whichever it is, people need one permission.
        name = self.kwargs.get("name", next(iter(publications), ""))
        publication = publications.get(name)
        if publication is None:
            return {}
        view = (name_permission("view", publication.model),)
        return {"GET": view, "POST": view}

    def get_publication(self) -> Publication:
        try:
            return publications[self.kwargs["name"]]
        except KeyError as error:
            raise NotFound("This service publishes nothing under this name.") from error

    def read_request(
        self, serializer: type[FieldsInput], request: Request
    ) -> tuple[SourceReader, dict[str, Any]]:
        """The source with the requested fields, and the validated request."""
        given = parse_body(serializer, request)
        publication, fields = self.get_publication(), given["fields"]
        if unknown := set(fields) - set(publication.fields):
            raise ValidationError({"fields": f"not in the contract: {', '.join(sorted(unknown))}"})
        return SourceReader(publication, fields, given["known"]), given

    def handle_exception(self, exc: Exception) -> Any:
        return super().handle_exception(ValidationError("not a key") if isinstance(exc, InvalidKey) else exc)


def json_response(content: Any) -> HttpResponse:
    """JSON by msgspec: for thousands of rows DRF's renderer takes ten times as long."""
    return HttpResponse(encoder.encode(content), content_type="application/json")


class TableDescription(TypedDict):
    """What is published: the name of the key, the fields of the contract, and the number of rows and tombstones."""

    name: str
    key: str
    fields: list[str]
    rows: int


class RowPage(TypedDict):
    """`more`: whether there are further rows."""

    fields: list[str]
    rows: list[RowVersion]
    more: bool


class Change(TypedDict):
    """`age`: of the change, in seconds."""

    cursor: str
    key: str
    version: int
    age: float


class ChangePage(TypedDict):
    """`cursor`: where the next page begins."""

    changes: list[Change]
    cursor: str
    epoch: str
    recovering: bool


class PublishedShow(PublishedAPI):
    @extend_schema(responses={200: describe_type(TableDescription)})
    def get(self, request: Request, name: str) -> Response:
        """The name of the table, its fields, and the number of rows and tombstones."""
        publication = self.get_publication()
        return Response(
            {
                "name": publication.name,
                "key": publication.key,
                "fields": publication.fields,
                "rows": SourceReader(publication, ()).count_rows(),
            }
        )


class PublishedPieces(PublishedAPI):
    @extend_schema(request=PiecesInput, responses={200: describe_type(list[list[Piece]])})
    def post(self, request: Request, name: str) -> HttpResponse:
        """Each range split into pieces of `size` rows, with a checksum each; ask again for pieces that differ."""
        source, given = self.read_request(PiecesInput, request)
        return json_response(
            [
                split_by_size(stream_rows(source, **bounds), bounds["upto"], given["size"], given["most"])
                for bounds in given["ranges"]
            ]
        )


class PublishedRows(PublishedAPI):
    @extend_schema(request=RowsInput, responses={200: describe_type(list[RowVersion])})
    def post(self, request: Request, name: str) -> HttpResponse:
        """The rows with these `keys`, or the first `most` rows of a `range`; deleted rows have no values."""
        source, given = self.read_request(RowsInput, request)
        if "keys" in given:
            return json_response(list(source.read_keys(given["keys"]).values()))
        bounds = given.get("range", {"after": None, "upto": None})
        return json_response(source.read_range(bounds["after"], bounds["upto"], given["most"]))


class PublishedChanges(PublishedAPI):
    @extend_schema(
        parameters=[AFTER],
        responses={200: describe_type(ChangePage)},
    )
    def get(self, request: Request, name: str) -> HttpResponse:
        """The rows that changed, and when, in the order in which their transactions became visible.

        In another `epoch` than that of the cursor, all changes again. While the source is `recovering` from a restore,
        its rows are not yet what they should be.
        """
        check_given_once(request)
        publication, after = self.get_publication(), request.query_params.get("after", "")
        feed = open_feed(after)
        # The end is read first, so that changes which become visible later are after it.
        end = feed.events.order_by("-transaction", "-id").values_list("transaction", "id").first()
        kinds = [publication.changed.wire_name(), publication.deleted.wire_name()]
        found = (
            feed.events.filter(name__in=kinds)
            .annotate(version=KT("payload__data__version"))
            .values_list("transaction", "id", "payload__subject", "version", "created_at")[:MAX_CHANGES]
        )
        now = functions.fetch_now()
        changes = [
            {
                "cursor": feed.make_cursor(t, i),
                "key": key,
                "version": int(version),
                "age": (now - at).total_seconds(),
            }
            for t, i, key, version, at in found
        ]
        if len(changes) == MAX_CHANGES or end is None:
            cursor = changes[-1]["cursor"] if changes else feed.after
        else:
            cursor = feed.make_cursor(*end)
        recovering = feed.epoch.recovering_since is not None
        return json_response(
            {"changes": changes, "cursor": cursor, "epoch": feed.epoch.token, "recovering": recovering}
        )


urlpatterns: list[URLPattern] = [
    path("api/published/<slug:name>/", PublishedShow.as_view(), name="published"),
    path("api/published/<slug:name>/pieces/", PublishedPieces.as_view(), name="published-pieces"),
    path("api/published/<slug:name>/rows/", PublishedRows.as_view(), name="published-rows"),
    path("api/published/<slug:name>/changes/", PublishedChanges.as_view(), name="published-changes"),
]
