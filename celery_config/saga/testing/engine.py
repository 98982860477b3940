"""Engine under test: the real decisions; a test of the simulator itself replaces one by a fault. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from celery_config.messaging.barrier import decisions
from celery_config.messaging.barrier.decisions import OnAction, OnFence, OnResult, OnUndo, Row
from celery_config.messaging.states import Action, Undo
from celery_config.saga.dsl import Saga
from celery_config.saga.engine import machine, plan
from celery_config.saga.engine.machine import Decision, Send, Trigger, View
from celery_config.saga.engine.plan import PlannedLink
from celery_config.saga.states import StepState

TOMBSTONE_OF_UNDO = Row(Action.TOMBSTONE, Undo.DONE)
TOMBSTONE_OF_FENCE = Row(Action.TOMBSTONE)


def supersedes(known: StepState, outcome: StepState) -> bool:
    """Whether the saga log replaces `known` by `outcome` (rule 16, the saga log)."""
    return known.rank < outcome.rank


@dataclass(frozen=True)
class Engine:
    """`undo_claims`, `fence_claims`: tombstones for steps without a row (rule 7, the undo; rule 13, the fence)."""

    decide: Callable[[type[Saga], View, Trigger], Decision[Send]] = machine.decide
    planned: Callable[[type[Saga], Send], tuple[PlannedLink, ...]] = plan.plan_links
    on_action: Callable[[Row | None, str], OnAction] = decisions.on_action
    on_result: Callable[..., OnResult] = decisions.on_result
    on_undo: Callable[[Row | None], OnUndo] = decisions.on_undo
    on_fence: Callable[[Row | None], OnFence] = decisions.on_fence
    is_lost: Callable[..., bool] = decisions.is_lost
    rises: Callable[[StepState, StepState], bool] = supersedes
    gives_back: Callable[[float], float] = float
    """How much of the time for which a saga was held its deadline moves by (rule 30, holds)."""
    undo_claims: Row | None = TOMBSTONE_OF_UNDO
    fence_claims: Row | None = TOMBSTONE_OF_FENCE


REAL = Engine()
