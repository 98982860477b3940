"""Drives a participant's steps as its messages would, without a broker."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from celery_config.messages import Command
from celery_config.messaging import outside, steps
from celery_config.messaging.steps import Step
from celery_config.participant import handlers


def act(saga: UUID, step: str, command: Command) -> dict[str, Any]:
    """Deliver an action; return the reply."""
    handler = handlers[command.wire_name()]
    carry_out = outside.act if handler.outside else steps.act
    return carry_out(handler, Step(saga, step, "do", command.subject, command))


def undo(saga: UUID, step: str, command: Command) -> None:
    """Deliver an undo."""
    handler = handlers[command.wire_name()]
    outside.undo(handler, Step(saga, step, "undo", command.subject, command), handlers.get)


def fence(saga: UUID, step: str, pivot: type[Command], subject: UUID) -> bool:
    """Deliver the pivot's fence; return whether the pivot ran."""
    return outside.fence(Step(saga, step, "do", str(subject)), pivot.wire_name(), handlers.get)
