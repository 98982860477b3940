"""Which texts show something."""

from __future__ import annotations

import unicodedata

import pytest

from celery_config.common.visible_text import BLANK_LETTERS, is_visible


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
        "\u034f", "\u0301", "\ufe0f", "\U000e0041", "\u115f", "\u1160", "\u2800", "\u3164", "\uffa0", "\ud83d",
        "\ue000", " \u3164\u200b\u2800 ",
    ],
)  # fmt: skip
def test_what_cannot_be_seen(text: str) -> None:
    assert not is_visible(text)


def test_every_blank_letter_is_one_for_unicode() -> None:
    """One that is no letter or symbol any more would not need to be named."""
    assert {unicodedata.category(each)[0] for each in BLANK_LETTERS} <= {"L", "S"}
