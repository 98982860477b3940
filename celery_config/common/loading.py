"""Code by name: what a setting names, and all modules of a package."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, TypeVar

from django.utils.module_loading import import_string

T = TypeVar("T")


def make_from_setting(
    setting: str, settings: Any, built_in: Mapping[str, Callable[..., T]], *, seconds: float
) -> T:
    """Make the adapter that the setting called `setting` names; it is called with `settings` and `seconds`.

    Args:
        built_in: the adapters that have a short name.
        seconds: limit of one call of the adapter.

    Raises:
        ValueError: the setting names no adapter, or a setting that the adapter needs is missing.
    """
    name = getattr(settings, setting)
    if "." not in name and name not in built_in:
        raise ValueError(
            f"{setting} is {name!r}; set it to {', '.join(built_in)} or the dotted path of your own"
        )
    try:
        make: Callable[..., T] = built_in.get(name) or import_string(name)
    except ImportError as error:
        raise ValueError(f"{setting} is {name!r}, which cannot be imported: {error}") from error
    return make(settings, seconds=seconds)


def require_setting(settings: Any, name: str, *, needed_by: str) -> str:
    """The text of a setting.

    Raises:
        ValueError: it is missing or empty.
    """
    value = str(getattr(settings, name, "") or "")
    if not value:
        raise ValueError(f"{needed_by} needs {name}; set it in the environment")
    return value


def import_modules(path: Iterable[str], package: str) -> None:
    """Import every module of a package, so that what they register is there."""
    for module in iter_modules(path):
        import_module(f"{package}.{module.name}")
