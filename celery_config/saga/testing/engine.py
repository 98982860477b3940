"""Every decision of the engine that a simulation runs. Pure.

They are the real ones. A test that wants to know whether the simulation would see a fault replaces one of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from celery_config.messaging.barrier import decisions
from celery_config.messaging.barrier.decisions import OnAction, OnFence, OnResult, OnUndo, Row
from celery_config.messaging.states import Action, Undo
from celery_config.saga.dsl import Saga
from celery_config.saga.engine import machine, plan
from celery_config.saga.engine.machine import Decision, Send, Trigger, View
from celery_config.saga.engine.plan import Planned
from celery_config.saga.states import StepState

TOMBSTONE_OF_UNDO = Row(Action.TOMBSTONE, Undo.DONE)
TOMBSTONE_OF_FENCE = Row(Action.TOMBSTONE)


def rises(known: StepState, outcome: StepState) -> bool:
    """Whether the saga log takes `outcome` over what it knows (rule 16)."""
    return known.rank < outcome.rank


@dataclass(frozen=True)
class Engine:
    """`undo_claims` and `fence_claims` are the rows that they insert where the step has none (rules 7 and 13)."""

    decide: Callable[[type[Saga], View, Trigger], Decision[Send]] = machine.decide
    planned: Callable[[type[Saga], Send], tuple[Planned, ...]] = plan.planned
    on_action: Callable[[Row | None, str], OnAction] = decisions.on_action
    on_result: Callable[..., OnResult] = decisions.on_result
    on_undo: Callable[[Row | None], OnUndo] = decisions.on_undo
    on_fence: Callable[[Row | None], OnFence] = decisions.on_fence
    rises: Callable[[StepState, StepState], bool] = rises
    undo_claims: Row | None = TOMBSTONE_OF_UNDO
    fence_claims: Row | None = TOMBSTONE_OF_FENCE


REAL = Engine()
