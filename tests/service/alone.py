"""Runs a single step, a batch of one, with its calls."""

from __future__ import annotations

from typing import Any

from celery.exceptions import Ignore

from celery_config.messaging import deliveries
from celery_config.messaging.barrier import actions, compensations, fences
from celery_config.messaging.barrier.steps import FindHandler, Handler, StepRequest
from celery_config.messaging.deliveries import Outcome


def act(handler: Handler, step: StepRequest) -> Any:
    return ended(actions.run_actions(handler, [step]))


def undo(handler: Handler, step: StepRequest, find: FindHandler) -> Any:
    return ended(compensations.undo_actions(handler, [step], find))


def fence(step: StepRequest, pivot: str, find: FindHandler) -> bool:
    """Return whether the pivot ran."""
    fence = fences.Fence(step.saga, step.name, step.operation, step.subject, step.command)
    try:
        ended(fences.fence_pivots([fence], pivot, find))
    except Ignore:
        return True
    return False


def ended(outcomes: list[Outcome]) -> Any:
    outcome = deliveries.resolve_outcome(outcomes)
    if isinstance(outcome, Exception):
        raise outcome
    return outcome
