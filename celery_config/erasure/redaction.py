"""Redaction removes personal data from a message and keeps its form, so every reader can still decode it. Pure."""

from __future__ import annotations

from typing import Any

from celery_config.contracts.privacy import list_personal_fields


def redact(value: Any, blank: str | None = None) -> Any:
    """Return the JSON value with its personal fields blanked.

    Args:
        blank: what replaces a text, if the field that holds the value is personal; a number becomes 0.
    """
    if isinstance(value, list | tuple):
        return [redact(each, blank) for each in value]
    if isinstance(value, dict):
        blanks = list_personal_fields()
        return {name: redact(each, blanks.get(name)) for name, each in value.items()}
    if blank is None or value is None or isinstance(value, bool):
        return value
    return blank if isinstance(value, str) else 0
