"""Weights and amounts are shown with their units."""

from __future__ import annotations

import pytest

from celery_config.web.columns import format_weight, make_table


@pytest.mark.parametrize(
    ("grams", "shown"),
    [(None, "-"), (0, "0 g"), (999, "999 g"), (1000, "1 kg"), (1250, "1.25 kg"), (1_234_567, "1,234.567 kg")],
)
def test_a_weight(grams: int | None, shown: str) -> None:
    assert format_weight(grams) == shown


def test_an_amount_without_a_known_currency_says_what_it_is() -> None:
    html = make_table({"captured_amount": 7890, "weight_grams": 1500})
    assert "<th>captured amount</th><td>7,890 minor units</td>" in html
    assert "<th>weight</th><td>1.5 kg</td>" in html


def test_an_amount_with_its_currency() -> None:
    assert "<td>€78.90</td>" in make_table({"captured_amount": 7890, "currency": "EUR"})
    assert "<td>€78.90</td>" in make_table({"captured_amount": 7890}, "EUR")
