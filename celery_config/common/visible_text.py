"""Whether a text shows anything: a name or a reason that nobody can see is none. Pure."""

from __future__ import annotations

import unicodedata

BLANK_LETTERS = "\u115f\u1160\u2800\u3164\uffa0"
"""Letters and a symbol by their categories, but drawn as nothing: Hangul fillers and the empty Braille cell."""
SHOWN = "LNPS"
"""How the categories of letters, numbers, punctuation and symbols begin."""


def is_visible(text: str) -> bool:
    """Whether at least one character of the text can be seen."""
    return any(unicodedata.category(each)[0] in SHOWN and each not in BLANK_LETTERS for each in text)
