"""Which links a chain has, in the order in which they run. Pure.

The message builder makes its messages of it and the simulation its own, so that both send the same.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from celery_config.saga.dsl import Kind, Saga
from celery_config.saga.engine.machine import Drive, Send, Stop, UndoBefore


class Operation(StrEnum):
    DO = "do"
    UNDO = "undo"
    FENCE = "fence"
    COMPLETE = "complete"
    COMPENSATED = "compensated"


class Planned(NamedTuple):
    """One link: what is to be done with which step; the saga's own last links name none."""

    operation: Operation
    step: str = ""
    incomplete: bool = False


plans: dict[tuple[type[Saga], Send], tuple[Planned, ...]] = {}


def planned(saga: type[Saga], send: Send) -> tuple[Planned, ...]:
    """The links that `send` stands for (rules 12 and 15); made once for each saga and send."""
    plan = plans.get((saga, send))
    if plan is None:
        plan = plans[saga, send] = made(saga, send)
    return plan


def made(saga: type[Saga], send: Send) -> tuple[Planned, ...]:
    pivot = saga.pivot_index()
    match send:
        case Drive(step):
            start = len(saga.steps) if step is None else saga.index(step)
            actions = [Planned(Operation.DO, s.name) for s in saga.steps[start:]]
            return (*actions, Planned(Operation.COMPLETE))
        case Stop(known):
            fences = [Planned(Operation.FENCE, s.name) for s in saga.steps[pivot : pivot + 1]]
            links = [*fences, *undos(saga, pivot), Planned(Operation.COMPENSATED)]
            return tuple(links[known:])
        case UndoBefore(step):
            rest = undos(saga, saga.index(step))
            return (*rest, Planned(Operation.COMPENSATED, incomplete=True))


def undos(saga: type[Saga], before: int) -> list[Planned]:
    """The undos of the compensatable steps before this position, last to first."""
    steps = reversed(saga.steps[:before])
    return [Planned(Operation.UNDO, s.name) for s in steps if s.kind is Kind.COMPENSATABLE]
