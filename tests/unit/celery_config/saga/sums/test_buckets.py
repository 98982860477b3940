"""Buckets of durations, and what they tell of quantiles."""

from __future__ import annotations

from collections import Counter

import pytest

from celery_config.saga.sums.buckets import find_bucket, find_lower_bound, find_quantile


@pytest.mark.parametrize("seconds", [0.001, 0.05, 0.68, 1, 13.6, 900, 86_400, 604_800])
def test_a_duration_is_within_its_bucket(seconds: float) -> None:
    bucket = find_bucket(seconds)
    assert find_lower_bound(bucket) <= seconds < find_lower_bound(bucket + 1)


def test_what_is_shorter_than_the_least_is_in_the_first_bucket() -> None:
    assert find_bucket(0) == find_bucket(0.0005) == 0
    assert find_lower_bound(0) == 0


def test_a_quantile_is_within_the_bucket_of_the_true_one() -> None:
    durations = [number / 100 for number in range(1, 1001)]
    counts = Counter(map(find_bucket, durations))
    for share, true in ((0.5, 5.0), (0.99, 9.9)):
        found = find_quantile(counts, share)
        assert found is not None
        assert find_bucket(found) == find_bucket(true)


def test_without_durations_there_is_no_quantile() -> None:
    assert find_quantile({}, 0.5) is None
