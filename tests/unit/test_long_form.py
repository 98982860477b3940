"""A short form draws the same cases each time; the long form has them all."""

from __future__ import annotations

import pytest

from tests.long_form import VARIABLE, draw, is_long

CASES = [f"case {n}" for n in range(50)]


def test_the_short_form_draws_some_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    drawn = draw(CASES, 10)
    assert not is_long()
    assert len({*drawn}) == 10
    assert drawn == [case for case in CASES if case in drawn] == draw(CASES, 10)
    assert draw(CASES[:3], 10) == CASES[:3]


def test_the_long_form_has_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "1")
    assert draw(CASES, 10) == CASES
