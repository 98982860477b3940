"""Codes of countries and currencies are those of the lists, letter by letter."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError

from celery_config.common.iso import validate_country, validate_currency


def test_codes_of_the_lists_are_taken() -> None:
    validate_country("KR")
    validate_currency("KRW")


@pytest.mark.parametrize("code", ["\u212aR", "kr", "Kr", "\uff2b\uff32", "H\u212a", "KOR", "ZZ", "", "KR\0"])
def test_what_only_looks_like_a_country_is_none(code: str) -> None:
    with pytest.raises(ValidationError):
        validate_country(code)


@pytest.mark.parametrize("code", ["\u212aRW", "krw", "\u017fEK", "XXX", ""])
def test_what_only_looks_like_a_currency_is_none(code: str) -> None:
    with pytest.raises(ValidationError):
        validate_currency(code)
