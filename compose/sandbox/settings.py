"""The settings of the sandbox, one for each command-line option."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """Times are in seconds, weights in grams."""

    slow_seconds: float = 2.0
    timeout_seconds: float = 30.0
    max_weight_grams: int = 1_000_000
