"""Bodies that clients and people send: a field that the API does not know, or only answers with, is refused by name.

Commands, the questions of other services, events and webhooks ignore unknown fields, because newer and older versions
run side by side (rule 24, versions).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail

from celery_config.web.idempotency_keys import FIELD, USE_HEADER

MAX_NAMED, MAX_NAME = 20, 100
UNKNOWN = "This field is unknown here."
READ_ONLY = "This field cannot be set: the service writes it."


class KnownFieldsOnly:
    """For a serializer. `hints` say where a field belongs that clients send to the wrong place."""

    hints: ClassVar[Mapping[str, str]] = {FIELD: USE_HEADER}

    def to_internal_value(self, data: Any) -> Any:
        """
        Raises:
            ValidationError: it names the unknown fields beside the other errors.
        """
        fields: Mapping[str, serializers.Field[Any, Any, Any, Any]] = self.fields  # type: ignore[attr-defined]
        known = {name for name, field in fields.items() if not field.read_only}
        unknown = [str(name) for name in data if name not in known] if isinstance(data, Mapping) else []
        if not unknown:
            return super().to_internal_value(data)  # type: ignore[misc]
        errors: dict[str, Any] = {
            name[:MAX_NAME]: [
                ErrorDetail(READ_ONLY if name in fields else self.hints.get(name, UNKNOWN), "unknown_field")
            ]
            for name in unknown[:MAX_NAMED]
        }
        try:
            super().to_internal_value(data)  # type: ignore[misc]
        except serializers.ValidationError as error:
            errors |= dict(error.detail)  # type: ignore[arg-type]
        raise serializers.ValidationError(errors)


class ClientInput(KnownFieldsOnly, serializers.Serializer[Any]):
    """A body that a client or a person sends; without fields it is empty."""
