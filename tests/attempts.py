"""Attempts: what a test tried in whose name, and what came of it, kept in pytest's report for a table.

A test notes each attempt with `note_attempt`; `./manage.py forgery` and `permissions` read them from the report.
"""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

PROPERTY = "attempt"
GROUP = "group"
"""Begins the name of staff who have what a shipped group has."""
Recorder = Callable[[str, object], None]
"""pytest's `record_property`."""


class Attempt(NamedTuple):
    """One attempt.

    Args:
        suite: the group of the table it belongs to, such as a service.
        who: in whose name, or with whose credentials.
        what: was tried, such as a call or a forged message.
        result: of it, such as a status.
    """

    suite: str
    who: str
    what: str
    result: str


def note_attempt(record_property: Recorder, *attempt: str) -> None:
    """Keep an attempt, the fields of `Attempt`, in the report of the test."""
    record_property(PROPERTY, json.dumps(Attempt(*attempt)))


def read_attempts(report: Path) -> Iterator[Attempt]:
    """The attempts of all tests of a report that pytest wrote with `--junit-xml`, in order."""
    for each in ElementTree.parse(report).iter("property"):
        if each.get("name") == PROPERTY:
            yield Attempt(*json.loads(each.get("value", "")))
