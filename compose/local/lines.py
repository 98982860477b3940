"""Log lines for a terminal: one event of a process in one short line; all of it is in the process's log file."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import msgspec
from rich.text import Text

from celery_config.common.visible_text import escape_line

STYLES = {"warning": "yellow", "error": "red", "critical": "red"}
# The name of the process says some of it; the rest is for machines.
HIDDEN = {
    "attempt", "event", "exception", "level", "logger", "ms", "operation", "request", "request_id", "saga", "service",
    "step", "task", "timestamp",
}  # fmt: skip
UUID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{6}([0-9a-f]{6})\b")
SHOWN_VALUE = 60


def shorten(line: str) -> Text:
    """Return a log line as people read it: `20:07:00 commit-stock done 384 ms order …0f8d41`.

    Args:
        line: JSON as our processes write it; any other text stays as it is.
    """
    try:
        told: Any = msgspec.json.decode(line)
    except msgspec.DecodeError:
        told = None
    if not (isinstance(told, dict) and isinstance(told.get("event"), str)):
        return Text.from_ansi(line)
    style = STYLES.get(str(told.get("level")), "")
    return Text.assemble(
        (f"{show_time(told)} ", "dim"), (shorten_ids(escape_line(describe_event(told))), style)
    )


def describe_event(told: dict[str, Any]) -> str:
    """The step, if there is one, what happened, how long it took, and what else is told."""
    parts = [str(told[name]) for name in ("step", "event") if told.get(name)]
    if told.get("operation") not in (None, "", "do"):
        parts.insert(1, str(told["operation"]))
    if "ms" in told:
        parts.append(f"{float(told['ms']):.0f} ms")
    parts += [f"{name} {show_value(value)}" for name, value in told.items() if name not in HIDDEN]
    if "saga" in told and "order" not in told:
        parts.append(f"saga {told['saga']}")
    if error := find_error(told.get("exception")):
        parts.append(error)
    return " ".join(parts)


def show_value(value: Any) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= SHOWN_VALUE else f"{text[:SHOWN_VALUE]}…"


def show_time(told: dict[str, Any]) -> str:
    """The time of day here."""
    try:
        return datetime.fromisoformat(str(told.get("timestamp"))).astimezone().strftime("%H:%M:%S")
    except ValueError:
        return "        "


def shorten_ids(text: str) -> str:
    return UUID.sub(r"…\1", text)


def find_error(exceptions: Any) -> str:
    """The last error of a traceback, and the line that raised it."""
    match exceptions:
        case [{"exc_type": kind, "exc_value": what, "frames": [*_, {"filename": file, "lineno": line}]}, *_]:
            return f"{kind}: {what} ({str(file).rpartition('/')[2]}:{line})"
    return ""
