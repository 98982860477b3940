"""The names of countries, for people. Pure."""

from __future__ import annotations

from babel import Locale


def name_country(code: str) -> str:
    """Return a country's name and code, "Antarctica (AQ)"; of an unknown code the code alone."""
    name = Locale("en", "GB").territories.get(code)
    return f"{name} ({code})" if name else code
