"""Pages by cursor: their cost does not grow with the table."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError as BadValue
from django.db import DataError
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import CursorPagination


class Pages(CursorPagination):
    """Newest first; `?limit=` up to 500."""

    page_size = 50
    page_size_query_param = "limit"
    max_page_size = 500
    ordering = "-created_at"

    def paginate_queryset(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().paginate_queryset(*args, **kwargs)
        except (BadValue, ValueError, TypeError, OverflowError, DataError) as error:
            raise ValidationError({"cursor": "not a cursor; follow `next` and `previous`"}) from error
