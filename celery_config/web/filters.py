"""Strict filters of lists: an unknown filter, or a value of the wrong type, is a 400 and is never ignored."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from django import forms
from django.db import models
from django_filters.rest_framework import (
    BooleanFilter,
    DjangoFilterBackend,
    FilterSet,
    NumberFilter,
)
from drf_spectacular.utils import extend_schema_field
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.filters import BaseFilterBackend
from rest_framework.request import Request
from rest_framework.serializers import Serializer
from rest_framework.settings import api_settings

from celery_config.common.visible_text import is_visible
from celery_config.web.forms import MAX_DIGITS, StrictIntegerField
from celery_config.web.inputs import MAX_NAME, MAX_NAMED

FORMAT = api_settings.URL_FORMAT_OVERRIDE
EMPTY = "This filter is empty. Give it a value, or leave it out."
REPEATED = "This parameter is given more than once. Give it once."
NO_BOOLEAN = "%(value).100r is neither true nor false."
MOST = 10**MAX_DIGITS - 1
BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


class StrictBooleanField(forms.CharField):
    """Django's own field treats every unknown word as no filter."""

    def clean(self, value: Any) -> bool | None:
        word = super().clean(value).lower()
        if word and word not in BOOLEANS:
            raise forms.ValidationError(NO_BOOLEAN, code="invalid", params={"value": value})
        return BOOLEANS.get(word)


@extend_schema_field({"type": "string", "enum": [*BOOLEANS]})
class StrictBooleanFilter(BooleanFilter):
    field_class = StrictBooleanField

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **({"widget": forms.TextInput} | options))


@extend_schema_field({"type": "integer", "minimum": -MOST, "maximum": MOST})
class StrictIntegerFilter(NumberFilter):
    field_class = StrictIntegerField


class StrictFilterSet(FilterSet):
    FILTER_DEFAULTS = {
        **FilterSet.FILTER_DEFAULTS,
        **{
            kind: {"filter_class": StrictIntegerFilter}
            for kind in FilterSet.FILTER_DEFAULTS
            if issubclass(kind, models.IntegerField)
        },
        models.BooleanField: {"filter_class": StrictBooleanFilter},
    }

    @classmethod
    def filter_for_lookup(cls, field: Any, lookup_type: str) -> tuple[Any, dict[str, Any]]:
        """The error of a field with choices names them. A reference is compared as an id, which need not exist."""
        if isinstance(field, models.ForeignKey):
            field = field.target_field
        kind, options = super().filter_for_lookup(field, lookup_type)
        if field.flatchoices:
            options["choices"] = [(value, label) for value, label in field.flatchoices if value != ""]
            words = ", ".join(str(value) for value, _ in options["choices"])
            options["error_messages"] = {"invalid_choice": f"must be one of {words}"}
        return kind, options


def check_parameters(request: Request, view: Any, paging: Iterable[str]) -> None:
    """Refuse what a list would ignore: a mistyped filter, which would give the rows of all, and one given twice.

    Args:
        view: its `filterset_fields` and the `parameters` of its filter backends are known.
        paging: further known ones.

    Raises:
        ValidationError: it names the wrong parameters.
    """
    fields = [*getattr(view, "filterset_fields", ())]
    named = [
        *fields,
        *(name for backend in view.filter_backends for name in getattr(backend, "parameters", ())),
    ]
    known = {*named, *paging, FORMAT}
    if empty := [name for name in fields if not is_visible(request.query_params.get(name, "-"))]:
        raise ValidationError({name: [ErrorDetail(EMPTY, "empty_filter")] for name in empty})
    if unknown := [name for name in request.query_params if name not in known]:
        there_are = f"there are {', '.join(sorted(named))}" if named else "this list has none"
        raise ValidationError(
            {
                name[:MAX_NAME]: [ErrorDetail(f"This filter is unknown here; {there_are}.", "unknown_filter")]
                for name in unknown[:MAX_NAMED]
            }
        )
    check_given_once(request)


def check_given_once(request: Request) -> None:
    """Refuse a parameter that is given twice: only the last one would count, and the caller would not know.

    Raises:
        ValidationError: it names the parameters.
    """
    if repeated := [name for name, values in request.query_params.lists() if len(values) > 1]:
        raise ValidationError({name: [ErrorDetail(REPEATED, "repeated_filter")] for name in repeated})


def parse_parameters(serializer: type[Serializer[Any]], request: Request) -> Any:
    """Return the valid parameters of a request's address.

    DRF takes an empty one for one that is not given, as in a form that a browser sends; here its field refuses it.

    Raises:
        ValidationError: it names the wrong parameters.
    """
    check_given_once(request)
    given = serializer(data=request.query_params.dict())
    given.is_valid(raise_exception=True)
    return given.validated_data


class ParameterFilter(BaseFilterBackend):
    """Narrows a list by one parameter of its own; without it the list is whole."""

    name: ClassVar[str]
    description: ClassVar[str]
    schema: ClassVar[Mapping[str, Any]]
    parameters: ClassVar[tuple[str, ...]]
    """For `check_parameters`."""

    def __init_subclass__(cls) -> None:
        cls.parameters = (cls.name,)

    def filter_queryset(self, request: Request, queryset: Any, view: Any) -> Any:
        text = request.query_params.get(self.name)
        return queryset if text is None else self.narrow(request, queryset, text)

    @abstractmethod
    def narrow(self, request: Request, queryset: Any, text: str) -> Any:
        """Return the rows that fit.

        Raises:
            ValidationError: the text is no value of this parameter.
        """

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        about = {"description": self.description, "schema": self.schema}
        return [{"name": self.name, "required": False, "in": "query", **about}]


class StrictFilterBackend(DjangoFilterBackend):
    filterset_base = StrictFilterSet
