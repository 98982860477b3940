"""Text that is refused: PostgreSQL cannot store it, no encoding can write it, or it shows nothing."""

from __future__ import annotations

import re
from typing import Any

from django.core.exceptions import ValidationError

from celery_config.common.visible_text import is_visible

# NUL and halves of surrogate pairs.
UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def has_unstorable_text(value: Any) -> bool:
    """Whether a JSON value has such a text at any depth."""
    rest = [value]
    while rest:
        match rest.pop():
            case str(text):
                if UNSTORABLE.search(text):
                    return True
            case dict(members):
                rest += [*members, *members.values()]
            case list(items):
                rest += items
    return False


def make_printable(text: str) -> str:
    """The text with halves of surrogate pairs written as escapes, so that an answer can quote it."""
    return text.encode("utf-8", "backslashreplace").decode()


def validate_visible(text: str) -> None:
    """Raise ValidationError unless the text shows something."""
    if not is_visible(text):
        raise ValidationError("Nothing of this text can be seen.", code="invisible")
