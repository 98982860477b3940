"""What the settings name by its dotted path: a gateway or carrier that a shop brings along."""

from __future__ import annotations

from typing import Any

from django.utils.module_loading import import_string


def load_from_setting(setting: str, settings: Any, *, seconds: float) -> Any:
    """Call what the setting called `setting` names.

    Args:
        seconds: limit of one call of what is made.

    Raises:
        ValueError: it cannot be imported.
    """
    path = getattr(settings, setting)
    try:
        return import_string(path)(settings, seconds=seconds)
    except ImportError as error:
        raise ValueError(f"{setting} is {path!r}, which cannot be imported: {error}") from error
