"""Chain plan: which links a chain has, in the order in which they run. Pure.

The message builder and the simulator both read it, so both send the same links.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from celery_config.saga.dsl import Saga, StepKind
from celery_config.saga.engine.machine import Drive, Send, Stop, UndoBefore


class Operation(StrEnum):
    DO = "do"
    UNDO = "undo"
    FENCE = "fence"
    COMPLETE = "complete"
    COMPENSATED = "compensated"


class PlannedLink(NamedTuple):
    """One link: an operation and its step. The saga's own last links have no step."""

    operation: Operation
    step: str = ""
    incomplete: bool = False
    urgent: bool = True
    """Whether it overtakes new work, which is every action that can still be undone (rule 28, routing)."""


plans: dict[tuple[type[Saga], Send], tuple[PlannedLink, ...]] = {}


def plan_links(saga: type[Saga], send: Send) -> tuple[PlannedLink, ...]:
    """The links that `send` stands for (rule 12, the stop; rule 15, failed undos), from a cache."""
    plan = plans.get((saga, send))
    if plan is None:
        plan = plans[saga, send] = make_plan(saga, send)
    return plan


def make_plan(saga: type[Saga], send: Send) -> tuple[PlannedLink, ...]:
    pivot = saga.pivot_index()
    match send:
        case Drive(step):
            start = len(saga.steps) if step is None else saga.index(step)
            actions = [
                PlannedLink(Operation.DO, s.name, urgent=s.kind is not StepKind.COMPENSATABLE)
                for s in saga.steps[start:]
            ]
            return (*actions, PlannedLink(Operation.COMPLETE))
        case Stop(known):
            fences = [PlannedLink(Operation.FENCE, s.name) for s in saga.steps[pivot : pivot + 1]]
            links = [*fences, *plan_undos(saga, pivot), PlannedLink(Operation.COMPENSATED)]
            return tuple(links[known:])
        case UndoBefore(step):
            rest = plan_undos(saga, saga.index(step))
            return (*rest, PlannedLink(Operation.COMPENSATED, incomplete=True))


def plan_undos(saga: type[Saga], before: int) -> list[PlannedLink]:
    """The undos of the compensatable steps before this position, last to first."""
    steps = reversed(saga.steps[:before])
    return [PlannedLink(Operation.UNDO, s.name) for s in steps if s.kind is StepKind.COMPENSATABLE]
