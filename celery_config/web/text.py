"""Text that PostgreSQL cannot store, or that no encoding can write: NUL and halves of surrogate pairs."""

from __future__ import annotations

import re
from typing import Any

BLANK = r"\t-\r\u001c-\u0020\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
"""What Python strips, for a class of a regular expression: dialects differ in what `\\s` is."""
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
