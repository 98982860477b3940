"""Which texts are payment tokens."""

from __future__ import annotations

import pytest

from order_project.payment_tokens import LONGEST_TOKEN, is_payment_token


@pytest.mark.parametrize(
    "text",
    ["tok_approved", " pm_1N3T00 ", "tok\n", "a.b~c|{}", "x" * LONGEST_TOKEN, f" {'x' * LONGEST_TOKEN} "],
)
def test_a_token_of_ascii(text: str) -> None:
    assert is_payment_token(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "a b",
        "a\nb",
        "tok_é",
        "tok\0",
        "tok\x7f",
        "tok\u2028x",
        "tok\u200b",
        "\udcff",
        "x" * (LONGEST_TOKEN + 1),
    ],
)
def test_no_token(text: str) -> None:
    assert not is_payment_token(text)
