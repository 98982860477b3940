"""Words from outside: whatever they hold, an error has a code and a text that can be stored and shown."""

from __future__ import annotations

import traceback

import pytest

from celery_config.errors import (
    MAX_REASON,
    MAX_TEXT,
    CallFailed,
    CodedError,
    OutcomeUnknown,
    Refused,
    clean_text,
    cut_private,
    show_error,
)


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


class Strange(Exception):
    """A gateway's own error: it wants more than a text."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(f"{status}: {body}")


TOKEN = "pm_1Nv0FGQ9RKHgCVdKpM5bXyZa"


@pytest.mark.parametrize(
    "error",
    [
        Refused("invalid_token", f"No such PaymentMethod: '{TOKEN}'"),
        CallFailed("bad_request", f"what is {TOKEN.upper()}?"),
        OutcomeUnknown(f'POST /: answered 502: {{"token": "{TOKEN[:24]}…"}}'),
        Strange(502, TOKEN),
        KeyError(TOKEN),
    ],
)
def test_a_text_with_private_data_is_cut_to_its_code(error: Exception) -> None:
    error.__cause__ = ValueError(f"{TOKEN} again")
    cut = cut_private(error, ["", "IE", TOKEN])
    shown = "".join(traceback.format_exception(cut)).casefold()
    assert TOKEN.casefold()[:24] not in shown
    assert type(cut) is type(error)
    if isinstance(error, CodedError):
        assert str(cut) == f"{error.code}: {error.code}"
    else:
        assert type(error).__name__ in str(cut)


class Unshowable(Exception):
    """As Stripe's error of an answer whose message is a JSON object."""

    def __str__(self) -> str:
        return {"en": "no"}  # type: ignore[return-value]


def test_an_error_that_cannot_be_shown_is_dropped_where_it_is_the_cause() -> None:
    error = Refused("card_declined", "no")
    error.__cause__ = Unshowable()
    cut = cut_private(error, [TOKEN])
    assert type(cut) is Refused
    assert cut.__cause__ is None
    assert "Unshowable" in str(cut_private(Unshowable(), []))


@pytest.mark.parametrize(("error", "shown"), [(KeyError("x"), "KeyError('x')"), (Unshowable(), "Unshowable")])
def test_any_error_is_shown(error: Exception, shown: str) -> None:
    assert show_error(error) == shown


def test_only_the_cause_of_an_error_is_dropped_when_only_it_carries_private_data() -> None:
    error = OutcomeUnknown("answered 502")
    error.__cause__ = ValueError(TOKEN)
    cut = cut_private(error, [TOKEN])
    assert cut is error
    assert str(cut) == "answered 502"
    assert cut.__cause__ is None


def test_any_other_error_stays_as_it_is() -> None:
    error = Refused("card_declined", "ask for another card in Ireland (IE)")
    error.__cause__ = cause = ValueError("402")
    assert cut_private(error, ["IE", TOKEN]) is error
    assert error.__cause__ is cause
