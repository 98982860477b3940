"""The change log: who changed what, written in the transaction of the change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

from django_filters import ChoiceFilter
from rest_framework import generics, serializers

from celery_config.web.filters import StrictFilterSet
from celery_config.web.models import ChangeRecord

CREATED, DELETED = "created", "deleted"


class Kind(StrEnum):
    """What is changed."""

    CUSTOMER = "customer"
    PRODUCT = "product"
    RULE = "rule"  # of notifications
    ACCOUNT = "account"  # of a person who signs on; key: its name


def record_changes(kind: Kind, changes: Mapping[str, Any], *, by: str) -> None:
    """Insert a record for each change, with one statement.

    Args:
        changes: by the row's id: the values before and after by field, or a list of fields if they are personal.
        by: who made them.
    """
    ChangeRecord.objects.bulk_create(
        ChangeRecord(kind=kind, key=key, what=what, by=by) for key, what in changes.items()
    )


def compare_values(before: Any, after: Any, names: Iterable[str]) -> dict[str, list[Any]]:
    """Return the fields that differ, each with its value before and after; `before` is None for a new row."""
    values = {name: [getattr(before, name, None), getattr(after, name)] for name in names}
    return {name: pair for name, pair in values.items() if pair[0] != pair[1]}


class ChangeOutput(serializers.ModelSerializer[ChangeRecord]):
    class Meta:
        model = ChangeRecord
        fields = ("id", "kind", "key", "what", "by", "at")


class ChangeFilters(StrictFilterSet):
    kind = ChoiceFilter(
        choices=[(each.value, each.value) for each in Kind],
        error_messages={"invalid_choice": f"must be one of {', '.join(Kind)}"},
    )

    class Meta:
        model = ChangeRecord
        fields = ("kind", "key", "by")


class ChangeList(generics.ListAPIView[ChangeRecord]):
    """Who changed what, newest first."""

    serializer_class = ChangeOutput
    queryset = ChangeRecord.objects.all()
    ordering = "-id"
    filterset_class = ChangeFilters
    filterset_fields = ChangeFilters.Meta.fields
