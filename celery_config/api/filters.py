"""Filters of lists that refuse a value of the wrong type instead of ignoring it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db import models
from django_filters.rest_framework import BooleanFilter, DjangoFilterBackend, FilterSet

WORDS = {"true": True, "1": True, "false": False, "0": False}


class BooleanWords(forms.CharField):
    """Django's own field takes every other word for "not asked"."""

    def clean(self, value: Any) -> bool | None:
        word = super().clean(value).lower()
        if word and word not in WORDS:
            raise forms.ValidationError(f"{value!r} is neither true nor false.", code="invalid")
        return WORDS.get(word)


class StrictBooleanFilter(BooleanFilter):
    field_class = BooleanWords

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **({"widget": forms.TextInput} | options))


class StrictFilterSet(FilterSet):
    FILTER_DEFAULTS = FilterSet.FILTER_DEFAULTS | {models.BooleanField: {"filter_class": StrictBooleanFilter}}


class Filters(DjangoFilterBackend):
    filterset_base = StrictFilterSet
