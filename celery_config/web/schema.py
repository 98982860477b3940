"""The OpenAPI document's names: serializers of different API classes never share one."""

from __future__ import annotations

from typing import Any

from drf_spectacular.openapi import AutoSchema


class QualifiedSchema(AutoSchema):
    """A serializer that belongs to one API class carries its name: `StockApi.OutputSerializer` is `StockOutput`."""

    def get_serializer_name(self, serializer: Any, direction: Any = None) -> str:
        parts = type(serializer).__qualname__.split(".")
        return "".join(part.removesuffix("Api").removesuffix("Serializer") for part in parts)
