"""ISO codes: models and APIs accept only those of the ISO lists that can be used."""

from __future__ import annotations

import pycountry
from django.core.exceptions import ValidationError

from celery_config.common.money import currency_digits


def validate_currency(code: str) -> None:
    """Raise ValidationError unless `code` is a currency of ISO 4217 that can be paid with, in capitals."""
    if code not in currency_digits():
        raise ValidationError(
            f"{code!r} is not an ISO 4217 currency that can be paid with, such as EUR.",
            code="unknown_currency",
        )


def validate_country(code: str) -> None:
    """Raise ValidationError unless `code` is one of ISO 3166-1 alpha-2, in capitals."""
    found = pycountry.countries.get(alpha_2=code)
    # It is looked up in small letters, and those of the Kelvin sign and K are the same.
    if found is None or found.alpha_2 != code:
        raise ValidationError(
            f"{code!r} is not an ISO 3166-1 alpha-2 country, such as GB.", code="unknown_country"
        )
