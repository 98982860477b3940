"""The states of a barrier row: the outcome of a step, and that of its compensation. Pure."""

from __future__ import annotations

from enum import StrEnum


class Action(StrEnum):
    INTENT = "intent"  # a call outside may be under way
    DONE = "done"
    REFUSED = "refused"
    TOMBSTONE = "tombstone"  # its undo or fence came first: the action will never run


class Undo(StrEnum):
    NONE = ""
    INTENT = "intent"
    DONE = "done"
