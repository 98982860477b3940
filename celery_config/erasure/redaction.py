"""Redaction removes personal data from a message and keeps its form, so every reader can still decode it. Pure."""

from __future__ import annotations

from typing import Any

from celery_config.contracts.privacy import list_personal_fields


def redact(value: Any) -> Any:
    """Return the JSON value with its personal fields blanked."""
    if isinstance(value, list):
        return [redact(each) for each in value]
    if not isinstance(value, dict):
        return value
    blank = list_personal_fields()
    return {
        name: blank[name] if name in blank and isinstance(each, str) else redact(each)
        for name, each in value.items()
    }
