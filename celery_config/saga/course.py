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


def read_data(form: type, data: Any) -> tuple[Mapping[str, Any], str]:
    """Return the stored data of a flow, as far as they have names, and what keeps them from being read as `form`."""
    fields = data if isinstance(data, Mapping) else {}
    try:
        decode(form, data)
    except msgspec.ValidationError as error:
        return fields, f"its data cannot be read: {error}"
    return fields, ""
