"""Permanent faults: one thing fails during the whole run, besides all other faults (`--worse`)."""

from __future__ import annotations

from pathlib import Path

from celery_config.messaging.failpoint_patches import LOSES

WORSE = {
    "errbacks": "no `link_error` is ever sent",
    "continuations": "no link of a chain sends the next one",
    "broker": "the broker loses its data in the middle of the load",
    "clock": "one service's clock is an hour wrong",
}
SKEWED, SECONDS_OFF = "payment", 3600


def choose_settings(worse: str | None) -> dict[str, str]:
    return {LOSES: worse} if worse in ("errbacks", "continuations") else {}


def choose_clock_settings(worse: str | None) -> dict[str, dict[str, str]]:
    """Return the settings that change one service's clock, but not the monotonic clock that measures its time-outs."""
    if worse != "clock":
        return {}
    return {SKEWED: {"PYTHONPATH": str(Path(__file__).parent / "skewed"), "CLOCK_OFF_BY": str(SECONDS_OFF)}}
