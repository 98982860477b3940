"""Serializer fields that several services use."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from rest_framework import serializers

from celery_config.common.identifiers import parse_uuid
from celery_config.web.forms import WHOLE_NUMBER
from celery_config.web.text import has_unstorable_text, validate_visible


class IdField(serializers.UUIDField):
    """A UUID as text; DRF's own field also accepts any integer, and digits of all scripts."""

    def to_internal_value(self, data: Any) -> UUID:
        if not isinstance(data, str) or parse_uuid(data) is None:
            self.fail("invalid", value=data)
        return super().to_internal_value(data)


class StrictIntegerField(serializers.IntegerField):
    """A JSON integer, or its ASCII digits as text; DRF's own field accepts all that Python reads as a number."""

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, float) or (isinstance(data, str) and not WHOLE_NUMBER.fullmatch(data)):
            self.fail("invalid")
        return super().to_internal_value(data)


class FiniteFloatField(serializers.FloatField):
    """A number that counts; Python also reads "nan" and "inf" as numbers, and no bound refuses "nan"."""

    def to_internal_value(self, data: Any) -> float:
        number = super().to_internal_value(data)
        if not math.isfinite(number):
            self.fail("invalid")
        return number


class StrictBooleanField(serializers.BooleanField):
    """JSON's true or false; DRF's own field also accepts numbers, and many words of each."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class StrictCharField(serializers.CharField):
    """A JSON text that shows something; DRF's own field turns a number into one, and 10.50 into "10.5"."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.validators.append(validate_visible)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class WordField(serializers.ChoiceField):
    """One of some words. The error names them; that of DRF's own field names only what was sent."""

    def __init__(self, choices: Iterable[str], **options: Any) -> None:
        words = list(choices)
        refusal = f"must be one of {', '.join(words)}".replace("{", "{{").replace("}", "}}")
        super().__init__(choices=words, error_messages={"invalid_choice": refusal}, **options)


class JsonObjectField(serializers.DictField):
    """A JSON object that PostgreSQL can store."""

    default_error_messages = {"unstorable": "has a NUL or half a surrogate pair in a text"}

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        value: dict[str, Any] = super().to_internal_value(data)
        if has_unstorable_text(value):
            self.fail("unstorable")
        return value
