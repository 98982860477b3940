"""E-mail addresses in any script (RFC 6531); Django's own validator takes only ASCII before the @."""

from __future__ import annotations

import re

from django.core.exceptions import ValidationError
from django.core.validators import EmailValidator
from django.utils.deconstruct import deconstructible


@deconstructible
class InternationalEmailValidator(EmailValidator):
    user_regex = re.compile(
        r"[-!#$%&'*+/=?^_`{}|~0-9A-Z\u0080-\U0010ffff]+"
        r"(\.[-!#$%&'*+/=?^_`{}|~0-9A-Z\u0080-\U0010ffff]+)*\Z",
        re.IGNORECASE,
    )

    def __call__(self, value: str | None) -> None:
        super().__call__(value)
        if not str(value).isprintable():
            raise ValidationError(self.message, code=self.code, params={"value": value})


validate_email_address = InternationalEmailValidator()
