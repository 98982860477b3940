"""Task shape: what a worker can read; `find_mismatch` names the first part of a message that it cannot. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from celery_config.broker.topology import task_queues
from celery_config.contracts.base import Command, decode
from celery_config.saga.dsl import Saga


@dataclass(frozen=True)
class Shape:
    """What a task accepts.

    Args:
        queues: those that its workers read it from.
        message: the type of its keyword arguments.
        chained: whether it gets the replies of the links before it.
        command: the type of a step's command; None: it is no step.
    """

    queues: Sequence[str]
    message: type[Any]
    chained: bool
    command: type[Command] | None = None


def step_shapes(sagas: Iterable[type[Saga]], step: type[Any], fence: type[Any]) -> dict[str, Shape]:
    """The shapes of all steps and fences of these sagas, by task.

    Args:
        step: the message type of an action or undo.
        fence: the message type of a fence.
    """
    shapes = {}
    for each in (each for saga in sagas for each in saga.steps):
        queues = task_queues(each.command.service)
        shapes[f"{each.command.service}.fence"] = Shape(queues, fence, chained=True)
        for command in filter(None, (each.command, each.undo)):
            shapes[command.wire_name()] = Shape(queues, step, chained=True, command=command)
    return shapes


def find_mismatch(shape: Shape, queue: str, args: list[Any], kwargs: dict[str, Any]) -> str | None:
    """Say what a worker cannot read of the message, or None if all of it fits.

    Args:
        queue: where the message came from; empty if unknown.
    """
    if queue and queue not in shape.queues:
        return (
            f"it came to {queue!r}, whose workers do not know its task: that belongs into {shape.queues[0]!r}"
        )
    try:
        replies = decode(list[dict[str, Any]], args)
        if len(replies) != shape.chained:
            return f"{len(replies)} positional arguments instead of {int(shape.chained)}"
        message = decode(shape.message, kwargs)
        if shape.command:
            needed = {name: replies[0][source][name] for name, source in (message.needs or {}).items()}
            decode(shape.command, message.command | needed)
    except msgspec.ValidationError as error:
        return str(error)
    except (KeyError, TypeError) as error:
        return f"the replies before it lack what it needs: {error!r}"
    return None
