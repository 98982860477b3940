"""What OPTIONS answers: the methods of an address, in `Allow`. What each takes and gives stands in /api/docs/."""

from __future__ import annotations

from typing import Any

from rest_framework.metadata import BaseMetadata


class NoMetadata(BaseMetadata):
    """DRF's own class says that a POST takes the fields that the view's answers have."""

    def determine_metadata(self, request: Any, view: Any) -> dict[str, Any]:
        return {}
