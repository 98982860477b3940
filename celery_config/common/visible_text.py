"""Visible text: a name or a reason needs at least one character that people can see. Pure."""

from __future__ import annotations

import re

INVISIBLE = (
    # White space and controls.
    "\0- \x7f-\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
    # What Unicode says may be left out when a text is drawn (Default_Ignorable_Code_Point).
    "\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
    # The empty Braille cell, and halves of surrogate pairs.
    "\u2800\ud800-\udfff"
)
"""The characters that show nothing, for a class of a regular expression in any dialect."""
_visible = re.compile(f"[^{INVISIBLE}]")


def is_visible(text: str) -> bool:
    """Whether at least one character of the text can be seen."""
    return _visible.search(text) is not None
