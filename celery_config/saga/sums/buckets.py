"""Buckets of durations: each is as many times longer than the one before, so few of them tell all lengths. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping

LEAST = 0.001
"""Seconds; bucket 0 holds all that is shorter."""
PER_DOUBLING = 2
"""A bucket is the square root of two wide."""
NO_DURATION = -1


def find_lower_bound(bucket: int) -> float:
    """Return the seconds at which a bucket begins."""
    return LEAST * 2 ** (bucket / PER_DOUBLING) if bucket > 0 else 0.0


def find_bucket(seconds: float) -> int:
    """Return the bucket of a duration; the SQL of `counting` does the same."""
    return math.floor(PER_DOUBLING * math.log2(max(seconds, LEAST) / LEAST))


def find_quantile(counts: Mapping[int, int], share: float) -> float | None:
    """Return the seconds that `share` of the durations do not exceed, None without any.

    Within a bucket durations count as evenly spread, so the answer is at most 41 % away from the truth.
    """
    wanted = share * sum(counts.values())
    passed = 0
    for bucket, count in sorted(counts.items()):
        if count and passed + count >= wanted:
            low, high = find_lower_bound(bucket), find_lower_bound(bucket + 1)
            return low + (high - low) * (wanted - passed) / count
        passed += count
    return None
