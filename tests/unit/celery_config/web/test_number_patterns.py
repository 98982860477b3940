"""A pattern matches the numbers between its bounds, and no other text."""

from __future__ import annotations

import random
import re

import pytest

from celery_config.web.number_patterns import match_whole_numbers


@pytest.mark.parametrize("seed", range(200))
def test_a_pattern_matches_what_lies_between_its_bounds(seed: int) -> None:
    chance = random.Random(seed)
    low = chance.randint(-(10 ** chance.randint(1, 9)), 10 ** chance.randint(1, 9))
    high = low + chance.randint(0, 10 ** chance.randint(1, 9))
    pattern = re.compile(match_whole_numbers(low, high))
    near = {bound + step for bound in (low, high, 0) for step in (-10, -1, 0, 1, 10)}
    for number in [*near, *(chance.randint(low - 1000, high + 1000) for _ in range(50))]:
        assert bool(pattern.search(str(number))) == (low <= number <= high), number


@pytest.mark.parametrize("low", [0, 1, 7, 10, 95, 1000])
def test_a_pattern_without_an_upper_bound_matches_all_from_the_lower_one(low: int) -> None:
    pattern = re.compile(match_whole_numbers(low, None))
    for number in [*range(-20, 1200), 10**30]:
        assert bool(pattern.search(str(number))) == (low <= number), number


@pytest.mark.parametrize("text", ["007", "+7", "0"])
def test_zeros_before_a_number_and_its_sign_count_for_nothing(text: str) -> None:
    assert re.search(match_whole_numbers(0, 7), text)


@pytest.mark.parametrize("text", ["", "+", " 7", "7 ", "7.0", "1e0", "٧", "0x7"])
def test_what_is_no_number_in_ascii_digits_is_not_matched(text: str) -> None:
    for pattern in (match_whole_numbers(0, 7), match_whole_numbers(None, None)):
        assert not re.search(pattern, text)
