"""People read the name of a country, and its code beside it."""

from __future__ import annotations

import pytest

from celery_config.common.countries import name_country


@pytest.mark.parametrize(
    ("code", "shown"),
    [("AQ", "Antarctica (AQ)"), ("GB", "United Kingdom (GB)"), ("nowhere", "nowhere"), ("", "")],
)
def test_a_country_is_named(code: str, shown: str) -> None:
    assert name_country(code) == shown
