"""Steps with an effect outside: intent, call, result; doubt is settled by repeating the call (rule 8)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.db import transaction

from celery_config.errors import Refused, StepOutlived
from celery_config.failpoints import Point, reach
from celery_config.messages import Reply, command_hash, command_id, encode
from celery_config.messaging import barrier, steps
from celery_config.messaging.decisions import (
    Action,
    OnAction,
    OnFence,
    OnResult,
    OnUndo,
    Undo,
    on_action,
    on_result,
)
from celery_config.messaging.models import BarrierRow
from celery_config.messaging.steps import Handler, Step

FindHandler = Callable[[str], Handler | None]
Answer = dict[str, Any] | Refused


def act(handler: Handler, step: Step) -> dict[str, Any]:
    """Carry out an action outside once and return its reply.

    A twin, or a repeat after a crash, that finds the open intent repeats the call with the same key.

    Raises:
        Refused, StepOutlived: the chain stops here.
        Unknown: the outcome is unknown; to be tried again.
    """
    assert handler.outside is not None
    digest = command_hash(step.command)
    request = handler.outside.request(step.command)
    with transaction.atomic():
        made = barrier.claim(
            step.saga,
            step.name,
            handler.command.wire_name(),
            command_hash=digest,
            action=Action.INTENT,
            request=request,
        )
        if not made:
            row = barrier.lock(step.saga, step.name)
            if on_action(barrier.state(row), digest) is not OnAction.CALL_AGAIN:
                return steps.replay(row, digest)
            request = row.request
    answer = call(handler, step.id, request)
    with transaction.atomic():
        stored = write_result(handler, step, request, answer)
    if isinstance(answer, Refused):
        raise answer
    if stored is None:
        raise StepOutlived(f"{step.name} of saga {step.saga} was undone while its call was under way")
    return stored


def call(handler: Handler, key: UUID, request: dict[str, Any]) -> Answer:
    try:
        return made_call(handler, key, request)
    except Refused as refusal:
        return refusal


def made_call(handler: Handler, key: UUID, request: dict[str, Any]) -> dict[str, Any]:
    assert handler.outside is not None
    reach(Point.BEFORE_CALL)
    answer = handler.outside.call(key, request)
    reach(Point.AFTER_CALL)
    return answer


def write_result(
    handler: Handler, step: Step, request: dict[str, Any], answer: Answer
) -> dict[str, Any] | None:
    """Write an action's answer over its open intent; return the stored reply, None if it came too late."""
    row = barrier.lock(step.saga, step.name)
    refused = isinstance(answer, Refused)
    match on_result(barrier.state(row), done=not refused):
        case OnResult.KNOWN:
            return dict(row.reply)
        case OnResult.TOO_LATE:
            return None
    if isinstance(answer, Refused):
        steps.store_refusal(handler, step, answer)
        return None
    return steps.store_reply(step, settled(handler, request, answer))


def undo(handler: Handler, step: Step, find: FindHandler) -> None:
    """Undo an action, wherever its effect and its compensation are.

    Args:
        handler: the undo's.
        step: the undo's message.
        find: gives the action's handler by its command's name, with which an open intent is settled first.

    Raises:
        RuntimeError: the handler refused. An undo may not (rule 6): nothing is stored and it is tried again.
        Unknown: the outcome is unknown; to be tried again.
    """
    try:
        _undo(handler, step, find)
    except Refused as refusal:
        raise steps.unrefusable(handler) from refusal


def _undo(handler: Handler, step: Step, find: FindHandler) -> None:
    decision = steps.begin_undo(handler, step)
    if decision is OnUndo.SETTLE_FIRST and not settle_before_undo(find, step):
        return
    if decision not in (OnUndo.UNDO, OnUndo.SETTLE_FIRST):
        return
    if handler.outside is None:
        steps.begin_undo(handler, step)
        return
    request = handler.outside.request(step.command)
    answer = made_call(handler, step.id, request)
    with transaction.atomic():
        write_undone(handler, step, request, answer)


def write_undone(handler: Handler, step: Step, request: dict[str, Any], answer: dict[str, Any]) -> None:
    """Write an undo's answer, unless it is written."""
    assert handler.outside is not None
    row = barrier.lock(step.saga, step.name)
    if row.undo != Undo.DONE:
        handler.outside.settle(request, answer)
        steps.finish_undo(step)


def settle_before_undo(find: FindHandler, step: Step) -> bool:
    """Repeat the doubtful action's call; True when it turned out done, so that there is something to undo."""
    action, row, answer = repeat_call(find, step)
    with transaction.atomic():
        now = barrier.lock(step.saga, step.name)
        if now.undo == Undo.DONE:
            return False
        if isinstance(answer, Refused):
            barrier.write(step.saga, step.name, action=Action.REFUSED)
            steps.finish_undo(step)
            return False
        if now.action == Action.INTENT:
            reply = settled(action, row.request, answer)
            barrier.write(step.saga, step.name, action=Action.DONE, reply=encode(reply))
    return True


def fence(step: Step, pivot: str, find: FindHandler) -> bool:
    """Make sure the pivot never runs, or report that it ran (rule 13).

    Args:
        step: the pivot's step.
        pivot: the wire name of the pivot's command, for the tombstone.
        find: gives its handler, with which an open intent is settled.

    Returns:
        Whether it ran.
    """
    decision = steps.begin_fence(step, pivot)
    if decision is not OnFence.SETTLE_FIRST:
        return decision is OnFence.RAN
    action, row, answer = repeat_call(find, step)
    with transaction.atomic():
        write_result(action, step, row.request, answer)
        now = barrier.lock(step.saga, step.name)
        ran = now.action == Action.DONE
        if ran:
            steps.report_pivot(step, now.reply)
    return ran


def repeat_call(find: FindHandler, step: Step) -> tuple[Handler, BarrierRow, Answer]:
    """Repeat the call of an open intent with the key and the request that were stored with it."""
    row = BarrierRow.objects.get(key=command_id(step.saga, step.name, "do"))
    handler = find(row.command)
    if handler is None or handler.outside is None:
        raise RuntimeError(f"{row.command} left an intent, but no handler with a call is registered for it")
    return handler, row, call(handler, row.key, row.request)


def settled(handler: Handler, request: dict[str, Any], answer: dict[str, Any]) -> Reply:
    assert handler.outside is not None
    reply = handler.outside.settle(request, answer)
    if reply is None:
        raise RuntimeError(f"settle() of {handler.command.__name__} must return its reply")
    return reply
