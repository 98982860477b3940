"""Serializer fields that several services use."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from rest_framework import serializers


class IdField(serializers.UUIDField):
    """A UUID as text; DRF's own field also accepts any integer."""

    def to_internal_value(self, data: Any) -> UUID:
        if not isinstance(data, str):
            self.fail("invalid", value=data)
        return super().to_internal_value(data)
