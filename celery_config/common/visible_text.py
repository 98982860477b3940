"""Visible text: a name or a reason needs at least one character that people can see, and controls none. Pure."""

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
STEERING = "\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
"""The characters that a terminal takes for commands, or that turn the direction of writing. JSON escapes a part."""
_steering = re.compile(f"[{STEERING}]")
_visible = re.compile(f"[^{INVISIBLE}]")


def is_visible(text: str) -> bool:
    """Whether at least one character of the text can be seen."""
    return _visible.search(text) is not None


def escape_controls(text: str) -> str:
    """Return a text for a terminal, of whatever origin; JSON stays the same JSON."""
    return _steering.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def escape_line(text: str) -> str:
    """Return a text for one line of a terminal: it begins no other line."""
    return escape_controls(text).replace("\n", "\\u000a")
