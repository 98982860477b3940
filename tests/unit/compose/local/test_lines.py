"""Log lines as people read them in a terminal."""

from __future__ import annotations

import json
from typing import Any

import pytest

from compose.local.lines import shorten

DONE = {
    "saga": "01a22609-312e-739f-9634-ad2241d25c87", "step": "commit-stock", "operation": "do", "attempt": 0,
    "order": "01a22609-30c7-7e24-a898-12869c0f8d41", "event": "done", "ms": 384.2, "level": "info",
    "task": "inventory.commit_stock", "logger": "x", "timestamp": "2026-11-29T06:41:13.805471Z", "service": "inventory",
}  # fmt: skip
ERROR = {
    "event": "Internal Server Error: /x/", "level": "error", "timestamp": "2026-11-29T06:41:13Z", "service": "order",
    "exception": [
        {"exc_type": "ValueError", "exc_value": "too many", "frames": [{"filename": "/a/b/c.py", "lineno": 7}]}
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        (DONE, "commit-stock done 384 ms order …0f8d41"),
        (DONE | {"operation": "undo"}, "commit-stock undo done 384 ms order …0f8d41"),
        (
            {"event": "saga ended", "saga": DONE["saga"], "outcome": "completed"},
            "saga ended outcome completed saga …d25c87",
        ),
        (ERROR, "Internal Server Error: /x/ ValueError: too many (c.py:7)"),
        ({"event": "x", "rows": {"a": "b" * 99}}, 'x rows {"a":"' + "b" * 54 + "…"),
    ],
)
def test_an_event_is_one_short_line(told: dict[str, Any], shown: str) -> None:
    assert shorten(json.dumps(told)).plain[9:] == shown


def test_a_line_begins_with_the_time() -> None:
    assert shorten(json.dumps(DONE)).plain[:9].endswith(":41:13 ")


@pytest.mark.parametrize("line", ["order relay ready", "[1, 2]", '{"event": 3}', "{", ""])
def test_another_line_stays_as_it_is(line: str) -> None:
    assert shorten(line).plain == line


def test_what_somebody_else_wrote_steers_no_terminal() -> None:
    shown = str(shorten(json.dumps({"event": "a sign-on failed", "error": "\x1b]0;x\x07\x9b2J\u202e"})))
    assert not {"\x1b", "\x07", "\x9b", "\u202e"} & {*shown}


def test_what_somebody_else_wrote_begins_no_other_line() -> None:
    shown = shorten(json.dumps({"event": "a sign-on failed", "error": "x\n17:00:00 all is well"})).plain
    assert shown.endswith("a sign-on failed error x\\u000a17:00:00 all is well")
