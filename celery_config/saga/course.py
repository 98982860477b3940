"""The course of a flow: its steps, what is known of each, and what the participants' barriers answer. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from celery_config.messaging.states import Action, Undo
from celery_config.saga.dsl import Step
from celery_config.saga.states import StepState


@dataclass(frozen=True)
class Known:
    """What the saga log says of a step; the participant's barrier is the truth."""

    logged: StepState
    reply: Mapping[str, Any] | None


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
