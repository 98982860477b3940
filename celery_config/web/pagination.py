"""Pagination by cursor: the cost of a page does not grow with the table, and an invalid cursor or limit is an error."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError as InvalidValue
from django.db import DataError
from django.http import QueryDict
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request

from celery_config.web.filters import check_parameters

MAX_LIMIT = 500


class CursorPages(CursorPagination):
    """Newest first, or as the view's `ordering` says; `?limit=` up to 500."""

    page_size = 50
    page_size_query_param = "limit"
    max_page_size = MAX_LIMIT
    ordering = "-created_at"

    def get_page_size(self, request: Request) -> int | None:
        """DRF ignores a limit that is not a number, and reduces one that is too large; here both are errors."""
        limit = request.query_params.get("limit")
        if limit is None:
            return self.page_size
        size = int(limit) if re.fullmatch("[0-9]{1,9}", limit) else 0
        if not 1 <= size <= MAX_LIMIT:
            raise ValidationError({"limit": f"must be a whole number from 1 to {MAX_LIMIT}"})
        return size

    def get_ordering(self, request: Request, queryset: Any, view: Any) -> Any:
        """Rows of one transaction have one time: without the key their order, and with it a page, may change."""
        self.ordering = getattr(view, "ordering", self.ordering)
        ordering = super().get_ordering(request, queryset, view)
        return (*ordering, "-pk" if ordering[0].startswith("-") else "pk")

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        limit = {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": self.page_size}
        return [
            {
                "name": self.cursor_query_param,
                "in": "query",
                "required": False,
                "description": "the `cursor` of the addresses `next` and `previous`; another text is refused",
                "schema": {"type": "string", "minLength": 1},
            },
            {
                "name": self.page_size_query_param,
                "in": "query",
                "required": False,
                "description": "rows of a page",
                "schema": limit,
            },
        ]

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        page = {"type": ["string", "null"], "format": "uri"}
        return {
            "type": "object",
            "required": ["next", "previous", "results"],
            "properties": {"next": page, "previous": page, "results": schema},
        }

    def decode_cursor(self, request: Request) -> Any:
        """DRF answers a cursor that it cannot read with the first page; here it is an error."""
        cursor = super().decode_cursor(request)
        if cursor is not None:
            ours = QueryDict(urlsplit(self.encode_cursor(cursor)).query)
            given = request.query_params[self.cursor_query_param]
            if not given or given != ours[self.cursor_query_param]:
                raise ValueError("a cursor that this service did not make")
        return cursor

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> Any:
        check_parameters(request, view, (self.cursor_query_param, self.page_size_query_param))
        try:
            return super().paginate_queryset(queryset, request, view)
        except (InvalidValue, NotFound, ValueError, TypeError, OverflowError, DataError) as error:
            raise ValidationError({"cursor": "not a cursor; follow `next` and `previous`"}) from error
