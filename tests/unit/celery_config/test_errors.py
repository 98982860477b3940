"""Words from outside: whatever they hold, an error has a code and a text that can be stored and shown."""

from __future__ import annotations

import pytest

from celery_config.errors import MAX_REASON, MAX_TEXT, CallFailed, Refused, clean_text


@pytest.mark.parametrize(
    ("given", "cleaned"),
    [
        ("Your card\x00 was declined.", "Your card was declined."),
        ("Declined \ud83d here", "Declined here"),
        ("two\r\nlines\u2028and\tmore", "two lines and more"),
        ("right \u202eot left", "right ot left"),
        ("Karte abgelehnt – 💳", "Karte abgelehnt – 💳"),
        ("", "fallback"),
        ("\x00\ud83d", "fallback"),
        (None, "fallback"),
        ({"en": "no"}, "fallback"),
        (["no"], "fallback"),
        ("a" * MAX_TEXT, "a" * MAX_TEXT),
        ("a" * 1_000_000, "a" * (MAX_TEXT - 1) + "…"),
    ],
)
def test_a_text_is_printable_and_short(given: object, cleaned: str) -> None:
    assert clean_text(given, "fallback") == cleaned
    cleaned.encode()


@pytest.mark.parametrize(
    "code", ["c" * 65, "", "two words", "a\x00b", "\ud83d", "ünlesbar", ["card_declined"], {}, 7, None]
)
def test_what_cannot_be_a_code_becomes_one(code: object) -> None:
    assert Refused(code, "no").code == "declined"  # type: ignore[arg-type]
    assert CallFailed(code, "no").code == "error"  # type: ignore[arg-type]


@pytest.mark.parametrize("code", ["card_declined", "c" * 64, "AuthenticationError", "a-b.c"])
def test_a_code_stays_as_it_is(code: str) -> None:
    assert str(Refused(code, "no\x00")) == f"{code}: no"


def test_a_reason_is_bounded_and_never_empty() -> None:
    assert len(Refused("declined", "x" * 10_000).reason) == MAX_REASON
    assert Refused("declined", "").reason == "declined"
