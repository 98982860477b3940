"""Addresses are compared by digest: equal whatever the release knows, and empty when they were erased."""

from __future__ import annotations

from typing import Any

import pytest

from celery_config.contracts.values import digest_address

HOME = {
    "name": "Ada", "line1": "1 Road", "city": "London", "postal_code": "N1 1AA", "country": "GB",
}  # fmt: skip


def test_a_part_that_a_release_does_not_know_does_not_count() -> None:
    assert digest_address({**HOME, "line2": "", "region": ""}) == digest_address(HOME)


@pytest.mark.parametrize("part", [*HOME, "line2", "region"])
def test_each_part_counts(part: str) -> None:
    assert digest_address({**HOME, part: "other"}) != digest_address(HOME)


def test_what_is_no_part_of_it_does_not_count() -> None:
    assert digest_address({**HOME, "state": "booked"}) == digest_address(HOME)


@pytest.mark.parametrize("erased", [{}, {"country": "GB"}, {**dict.fromkeys(HOME, ""), "country": "GB"}])
def test_an_erased_address_has_none(erased: dict[str, Any]) -> None:
    assert digest_address(erased) == ""
