"""Worse than chaos: something that never works at all, while everything else dies too."""

from __future__ import annotations

from pathlib import Path

from celery_config.messaging.failpoint_patches import LOSES

WORSE = {
    "errbacks": "no `link_error` is ever fired",
    "continuations": "no chain goes on to its next link",
    "broker": "the broker's data are deleted in mid-load",
    "clock": "one service's clock is an hour off",
}
SKEWED, SECONDS_OFF = "payment", 3600


def settings_for(worse: str | None) -> dict[str, str]:
    return {LOSES: worse} if worse in ("errbacks", "continuations") else {}


def clocks_for(worse: str | None) -> dict[str, dict[str, str]]:
    """What sets one service's clocks off, but not the stopwatch that its time-outs are measured with."""
    if worse != "clock":
        return {}
    return {SKEWED: {"PYTHONPATH": str(Path(__file__).parent / "skewed"), "CLOCK_OFF_BY": str(SECONDS_OFF)}}
