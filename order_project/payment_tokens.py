"""Payment tokens, as providers make them: what the API, the desk and an import take. Pure."""

from __future__ import annotations

import re

from django.core.validators import RegexValidator

from celery_config.contracts.payment import TOKEN_LETTER

LONGEST_TOKEN = 200
"""In characters."""
# The white space around a token is no part of it.
_token = re.compile(rf"^\s*{TOKEN_LETTER}+\s*$")
validate_payment_token = RegexValidator(
    _token,
    "A payment token has letters, digits and signs of ASCII only, and no space.",
    code="foreign_characters",
)


def is_payment_token(text: str) -> bool:
    """Whether a text is a payment token that order takes."""
    return len(text.strip()) <= LONGEST_TOKEN and _token.search(text) is not None
