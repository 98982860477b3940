"""The course of a flow: its steps, what is known of each, and what the participants' barriers answer. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from celery_config.contracts.base import decode
from celery_config.messaging.states import Action, Undo
from celery_config.saga.dsl import Step
from celery_config.saga.states import StepState

LARGEST_AMOUNT = 10**18
FIRST_YEAR, LAST_YEAR = 1970, 9000
"""Those in which every time zone can show a time."""


@dataclass(frozen=True)
class Known:
    """What the saga log says of a step; the participant's barrier is the truth."""

    logged: StepState
    reply: Mapping[str, Any] | None
    ran: bool = False
    """Whether the action is known to have been done, perhaps before it was undone."""
    refusal: Mapping[str, Any] | None = None
    failure: Mapping[str, Any] | None = None
    """Why its participant gave up last: `operation`, `code`, `reason`."""
    at: datetime | None = None
    """When that became known."""


@dataclass(frozen=True)
class Held:
    """A participant's barrier row."""

    action: Action
    undo: Undo
    reply: Mapping[str, Any] | None
    note: str = ""

    def __str__(self) -> str:
        return f"{self.action}, undo {self.undo}" if self.undo else str(self.action)


Answer = Mapping[str, Held] | None
"""Barrier rows of one saga at one participant, by step; None: it did not answer."""


@dataclass(frozen=True)
class Course:
    """The steps of a saga or choreographed order, and what is known of each."""

    steps: Sequence[Step]
    data: Mapping[str, Any]
    """What is known from the start."""
    log: Mapping[str, Known]
    """By step."""
    fault: str = ""
    """Why the flow cannot be driven, although its steps are known: its data cannot be read."""


def find_amount(fields: Any) -> int | None:
    """Return the first amount among fields, whose name ends so; None: there is none that is a number of minor units.

    A reply is what its service says, which may be anything; one that makes no sense breaks no page of the others.
    """
    found = next((value for name, value in read_fields(fields).items() if name.endswith("amount")), None)
    return found if type(found) is int and abs(found) <= LARGEST_AMOUNT else None


def find_expiry(reply: Any) -> datetime | None:
    """Return when what a step holds is let go; None: its reply names no time, or one that is none."""
    return read_time(read_fields(reply).get("expires_at"))


def read_time(text: Any) -> datetime | None:
    """Return the time of a text; None: it is none, or one that no database and no time zone can show."""
    try:
        at = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return at if at.tzinfo and FIRST_YEAR <= at.year <= LAST_YEAR else None


def read_fields(reply: Any) -> Mapping[str, Any]:
    return reply if isinstance(reply, Mapping) else {}


def read_data(form: type, data: Any) -> tuple[Mapping[str, Any], str]:
    """Return the stored data of a flow, as far as they have names, and what keeps them from being read as `form`."""
    fields = data if isinstance(data, Mapping) else {}
    try:
        decode(form, data)
    except msgspec.ValidationError as error:
        return fields, f"its data cannot be read: {error}"
    return fields, ""
