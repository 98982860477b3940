"""Which texts show something."""

from __future__ import annotations

import json
import sys
import unicodedata

import pytest

from celery_config.common.visible_text import escape_controls, is_visible

DRAWN = ("ARABIC", "SYRIAC", "KAITHI", "EGYPTIAN")


@pytest.mark.parametrize(
    "text",
    [
        "Ada", "7", "-", "€", "東", "😀", "é", "e\u0301", " a ", "\u200ba", "\u3164a", "می\u200cخ",
        "\U0001f469\u200d\U0001f52c",
    ],
)  # fmt: skip
def test_what_can_be_seen(text: str) -> None:
    assert is_visible(text)


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "\u3000", "\xa0", "\n\t", "\0", "\xad", "\u200b", "\u200c", "\u200d", "\u2060", "\ufeff", "\u202e",
        "\u034f", "\ufe0f", "\U000e0041", "\u115f", "\u1160", "\u2800", "\u3164", "\uffa0", "\ud83d",
        " \u3164\u200b\u2800 ",
    ],
)  # fmt: skip
def test_what_cannot_be_seen(text: str) -> None:
    assert not is_visible(text)


def test_all_white_space_and_format_characters_show_nothing() -> None:
    """But for marks of scripts that are drawn, such as Arabic's sign of a number."""
    drawn = {
        each
        for each in map(chr, range(sys.maxunicode))
        if unicodedata.category(each) == "Cf" and is_visible(each)
    }
    assert all(any(word in unicodedata.name(each) for word in DRAWN) for each in drawn), drawn
    assert not any(is_visible(each) for each in map(chr, range(sys.maxunicode)) if each.isspace())


def test_a_terminal_gets_no_controls_and_json_stays_the_same() -> None:
    text = "a\x1b[2J\x07\x9b2J\x7f\u202eb\n\tç"
    assert escape_controls(text) == "a\\u001b[2J\\u0007\\u009b2J\\u007f\\u202eb\n\tç"
    assert json.loads(escape_controls(json.dumps(text, ensure_ascii=False))) == text
