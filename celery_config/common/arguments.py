"""The types of command-line arguments: what a command cannot use is refused before its work begins."""

from __future__ import annotations

import os
import re
from argparse import ArgumentTypeError
from pathlib import Path

from celery_config.common.visible_text import is_visible

WHOLE_NUMBER = re.compile("[0-9]{1,18}")
NUMBER = re.compile(r"[0-9]{1,18}(\.[0-9]{1,18})?")
MAX_SECONDS = 10**9
MAX_DAYS = 3650
MAX_PORT = 65535


def parse_whole_number(text: str, least: int = 0, most: int | None = None) -> int:
    """Return a whole number.

    Raises:
        ArgumentTypeError: it is none, less than `least`, or more than `most`.
    """
    number = int(text) if WHOLE_NUMBER.fullmatch(text) else -1
    if number < least or (most is not None and number > most):
        limits = f"from {least} on" if most is None else f"from {least} to {most}"
        raise ArgumentTypeError(f"{text!r:.100} is no whole number {limits}")
    return number


def parse_count(text: str) -> int:
    """Return a whole number that is not zero."""
    return parse_whole_number(text, 1)


def parse_counts(text: str) -> list[int]:
    """Return the counts that stand between commas."""
    return [parse_count(each) for each in text.split(",")]


def parse_port(text: str) -> int:
    """Return the number of a port; 0 is any free one."""
    return parse_whole_number(text, most=MAX_PORT)


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
        ArgumentTypeError: it is none in plain digits, such as 1.5.
    """
    number = float(text) if NUMBER.fullmatch(text) else -1.0
    if not 0 <= number <= most:
        raise ArgumentTypeError(f"{text!r:.100} is no number from 0 to {most}")
    return number


def parse_text(text: str) -> str:
    """Return a text that can be stored, looked for and shown, such as a name or a path.

    Raises:
        ArgumentTypeError: it has bytes that are no text in the terminal's encoding.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ArgumentTypeError(f"{text!r:.100} is no text") from error
    return text


def parse_reason(text: str) -> str:
    """Return what a human says why; it is kept.

    Raises:
        ArgumentTypeError: nothing is said.
    """
    text = parse_text(text)
    if not is_visible(text):
        raise ArgumentTypeError("say why")
    return text


def parse_pattern(text: str) -> re.Pattern[str]:
    """Return a regular expression."""
    try:
        return re.compile(parse_text(text))
    except re.error as error:
        raise ArgumentTypeError(f"{text!r:.100} is no regular expression: {error}") from error


def parse_path(text: str) -> Path:
    """Return the path of a file.

    Raises:
        ArgumentTypeError: the text is empty, which as a path would be the current folder, or no text.
    """
    if not text.strip():
        raise ArgumentTypeError("the name of the file is empty")
    return Path(parse_text(text))


def parse_new_file(text: str) -> Path:
    """Return the path of a file that will be written when the work is done.

    Raises:
        ArgumentTypeError: it cannot be written.
    """
    path = parse_path(text)
    if path.is_dir():
        raise ArgumentTypeError(f"{text!r} is a folder; name a file")
    if not path.parent.is_dir():
        raise ArgumentTypeError(f"{text!r} cannot be written: there is no folder {str(path.parent)!r}")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise ArgumentTypeError(f"{text!r} cannot be written: that is not allowed here")
    return path
