"""Lists of the admin: their filters, pages and sorted columns; none reads a whole table."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.exceptions import DisallowedModelAdminLookup
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.paginator import Paginator
from django.db.models import DateTimeField, Model, QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property
from django.utils.text import capfirst
from unfold.contrib.filters.admin import FieldTextFilter
from unfold.views import ChangeList

from celery_config.contracts.privacy import SHOWN_NAME
from celery_config.web.columns import ago_column


def text_filter(field: str) -> tuple[str, type[FieldTextFilter]]:
    """A filter with a text field. A list of all values would read the whole table for each page."""
    return field, FieldTextFilter


class ShownNameFilter(FieldTextFilter):  # type: ignore[misc]
    """A text filter for a name that its sender wrote: one that is hidden is not found."""

    def queryset(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        found: QuerySet[Any] = super().queryset(request, rows)
        shown = {f"{self.field_path}__regex": SHOWN_NAME} if self.used_parameters else {}
        return found.filter(**shown)


class WordsFilter(admin.SimpleListFilter):
    """A filter by a state, in the words of its column."""

    words: ClassVar[Mapping[str, str]]

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [*self.words.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        field = str(self.parameter_name).partition("__")[0]
        return queryset.filter(**{field: self.value()}) if self.value() in self.words else queryset


class BoundedPaginator(Paginator):  # type: ignore[type-arg]
    """Counts up to `max_count` rows. To count all would read the whole table for each page."""

    max_count = 10_000
    template_name = "order_saga/pagination.html"
    has_more = False
    """Whether there are more rows than `count`, once that is read."""

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list.order_by()  # type: ignore[attr-defined]
        counted = int(rows[: self.max_count + 1].count())
        self.has_more = counted > self.max_count
        return min(counted, self.max_count)

    @property
    def shown_count(self) -> str:
        return f"over {self.count:,}" if self.has_more else f"{self.count:,}"


@functools.cache
def find_sorted_fields(model: type[Model]) -> set[str]:
    """The fields in whose order an index holds every row: unique ones, and those of an index of one field."""
    alone = {
        index.fields[0].lstrip("-")
        for index in model._meta.indexes
        if len(index.fields) == 1 and not index.condition
    }
    fields: Any = model._meta.fields
    return alone | {field.name for field in fields if field.unique or field.db_index}


@functools.cache
def present_in_list(model: type[Model], name: Any) -> Any:
    """The column of a list that shows a field: a time as so long ago, any other as it is."""
    if not isinstance(name, str) or name not in {field.name for field in model._meta.fields}:
        return name
    field: Any = model._meta.get_field(name)
    return ago_column(name, str(field.verbose_name)) if isinstance(field, DateTimeField) else name


class OfferedFiltersOnly(ChangeList):  # type: ignore[misc]
    """A list that is filtered by what it offers. Django's own takes any lookup from an address, also one that the
    database fails at: a year that it does not have, or a broken pattern."""

    def __init__(self, request: HttpRequest, *given: Any, **options: Any) -> None:
        super().__init__(request, *given, **options)
        # The name that the sidebar has; Django's "Select message to send to view" is a riddle in a browser's tab.
        self.title = capfirst(self.opts.verbose_name_plural)

    def get_ordering_field(self, field_name: Any) -> Any:
        """Django's own sorts by any column that an address names: every row of a large table, and what is hidden."""
        return super().get_ordering_field(field_name) if field_name in self.sortable_by else None

    def get_filters(self, request: HttpRequest) -> Any:
        """
        Raises:
            IncorrectLookupParameters: the address has another filter.
        """
        try:
            found: Any = super().get_filters(request)
        except DisallowedModelAdminLookup as error:
            raise IncorrectLookupParameters(error) from error
        if foreign := found[2].keys() - {*self.model_admin.linked_lookups}:
            raise IncorrectLookupParameters(f"no filter of this list: {', '.join(sorted(foreign))}")
        return found
