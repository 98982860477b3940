"""The types of command-line arguments: what a command cannot use is refused before its work begins."""

from __future__ import annotations

import os
import re
from argparse import ArgumentTypeError
from pathlib import Path

WHOLE_NUMBER = re.compile("[0-9]{1,18}")
MAX_SECONDS = 10**9
MAX_DAYS = 3650
MAX_PORT = 65535


def parse_whole_number(text: str, least: int = 0) -> int:
    """Return a whole number.

    Raises:
        ArgumentTypeError: it is none, or is less than `least`.
    """
    if not WHOLE_NUMBER.fullmatch(text) or int(text) < least:
        raise ArgumentTypeError(f"{text!r} is no whole number from {least} on")
    return int(text)


def parse_count(text: str) -> int:
    """Return a whole number that is not zero."""
    return parse_whole_number(text, 1)


def parse_counts(text: str) -> list[int]:
    """Return the counts that stand between commas."""
    return [parse_count(each) for each in text.split(",")]


def parse_port(text: str) -> int:
    """Return the number of a port; 0 is any free one."""
    if (port := parse_whole_number(text)) > MAX_PORT:
        raise ArgumentTypeError(f"{text!r} is no port: 0 to {MAX_PORT}")
    return port


def parse_seconds(text: str) -> float:
    return parse_number(text, MAX_SECONDS)


def parse_days(text: str) -> float:
    return parse_number(text, MAX_DAYS)


def parse_rate(text: str) -> float:
    """Return how often something happens in a second; what never happens has no rate."""
    if not (rate := parse_number(text, MAX_SECONDS)):
        raise ArgumentTypeError(f"{text!r} is no number over 0")
    return rate


def parse_number(text: str, most: float) -> float:
    """Return a number from 0 to `most`.

    Raises:
        ArgumentTypeError: it is none, as NaN and infinity are none.
    """
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= most:
        raise ArgumentTypeError(f"{text!r} is no number from 0 to {most}")
    return number


def parse_reason(text: str) -> str:
    """Return what a human says why; it is kept.

    Raises:
        ArgumentTypeError: nothing is said.
    """
    if not text.strip():
        raise ArgumentTypeError("say why")
    return text


def parse_new_file(text: str) -> Path:
    """Return the path of a file that will be written when the work is done.

    Raises:
        ArgumentTypeError: it cannot be written.
    """
    path = Path(text)
    if path.is_dir():
        raise ArgumentTypeError(f"{text!r} is a folder; name a file")
    if not path.parent.is_dir():
        raise ArgumentTypeError(f"{text!r} cannot be written: there is no folder {str(path.parent)!r}")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise ArgumentTypeError(f"{text!r} cannot be written: that is not allowed here")
    return path
