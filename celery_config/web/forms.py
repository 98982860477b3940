"""Form fields of the admin that take or refuse whatever is sent."""

from __future__ import annotations

import re
from typing import Any

from django import forms
from django.contrib.admin.widgets import AutocompleteSelect
from django.core.exceptions import ValidationError
from django.forms.fields import InvalidJSONInput

from celery_config.web.parsers import StrictDecoder, describe_fault
from celery_config.web.text import has_unstorable_text, validate_visible

WHOLE_NUMBER = re.compile("[+-]?[0-9]+")
MAX_DIGITS = 19
# What is sent is a parameter: a percent sign in it would be a place for one.
NO_NUMBER = "%(value).100r is not a whole number."


class StrictIntegerField(forms.IntegerField):
    """Django's own field accepts every way in which Python writes a number."""

    def to_python(self, value: Any) -> int | None:
        if value and not WHOLE_NUMBER.fullmatch(value):
            raise forms.ValidationError(NO_NUMBER, code="invalid", params={"value": value})
        if value and len(value.lstrip("+-")) > MAX_DIGITS:
            raise forms.ValidationError(f"A number has at most {MAX_DIGITS} digits here.", code="invalid")
        return super().to_python(value)


class VisibleTextField(forms.CharField):
    """A text that shows something."""

    default_validators = [validate_visible]


class StorableJsonField(forms.JSONField):
    """JSON that PostgreSQL can store, read as the API reads it.

    Django's own field takes NaN and a field twice, and fails at deep nesting, long numbers, NUL and surrogates.
    """

    empty_values = [None, ""]  # an empty object or list is a value, which validators see

    def __init__(self, **options: Any) -> None:
        super().__init__(decoder=StrictDecoder, **options)

    def to_python(self, value: Any) -> Any:
        try:
            given = super().to_python(value)
        except (ValueError, RecursionError) as error:
            raise ValidationError(f"This is no JSON: {describe_fault(error)}.", code="invalid") from error
        if has_unstorable_text(given):
            raise ValidationError("A text has a NUL or half a surrogate pair.", code="invalid")
        return given

    def bound_data(self, data: Any, initial: Any) -> Any:
        """What the form shows again: what was sent, also when it is no JSON."""
        try:
            return super().bound_data(data, initial)
        except (ValueError, RecursionError):
            return InvalidJSONInput(data)

    def prepare_value(self, value: Any) -> Any:
        if isinstance(value, InvalidJSONInput) or has_unstorable_text(value):
            return str(value).encode("utf-8", "replace").decode()
        return super().prepare_value(value)


class AutocompleteWidget(AutocompleteSelect):
    """Shows a chosen row; an id that is none is not searched for in the database."""

    def optgroups(self, name: str, value: Any, attr: Any = None) -> Any:
        key = self.field.remote_field.model._meta.pk
        return super().optgroups(name, [each for each in value if is_valid_key(key, each)], attr)


def is_valid_key(key: Any, value: str) -> bool:
    """Whether a row could have this primary key."""
    try:
        key.run_validators(key.to_python(value))
    except ValidationError:
        return False
    return True
