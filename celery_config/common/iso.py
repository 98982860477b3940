"""ISO code validators: models and APIs accept only codes of the ISO lists."""

from __future__ import annotations

import pycountry
from django.core.exceptions import ValidationError


def validate_currency(code: str) -> None:
    """Raise ValidationError unless `code` is one of ISO 4217, in capitals."""
    # pycountry ignores the case.
    if not code.isupper() or pycountry.currencies.get(alpha_3=code) is None:
        raise ValidationError(f"{code!r} is not an ISO 4217 currency, such as EUR.", code="unknown_currency")


def validate_country(code: str) -> None:
    """Raise ValidationError unless `code` is one of ISO 3166-1 alpha-2, in capitals."""
    if not code.isupper() or pycountry.countries.get(alpha_2=code) is None:
        raise ValidationError(
            f"{code!r} is not an ISO 3166-1 alpha-2 country, such as GB.", code="unknown_country"
        )
