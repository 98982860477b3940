"""Actions, local and outside: the effect happens once, whoever asks how often (rules 5, 6 and 8).

All messages of one command that have arrived are carried out together; a lone one is a batch of one. No saga comes
twice in a batch (participant/handlers.py ensures that).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from celery.exceptions import Reject
from django.db import IntegrityError, transaction

from celery_config.contracts.base import Reply, command_hash
from celery_config.errors import CommandConflict, Refused, StepSuperseded
from celery_config.failpoints.points import Point, reach
from celery_config.messaging.barrier import store
from celery_config.messaging.barrier.decisions import OnAction, OnResult, on_action, on_result
from celery_config.messaging.barrier.steps import Handler, Step, StepWrites
from celery_config.messaging.barrier.store import AnyRow
from celery_config.messaging.deliveries import Call, Outcome
from celery_config.messaging.states import Action

Answer = dict[str, Any] | Refused


@dataclass(frozen=True)
class PendingCall:
    """What a call outside was made for."""

    handler: Handler
    step: Step
    request: dict[str, Any]


Pairs = Sequence[tuple[PendingCall, Answer]]


def act(handler: Handler, messages: Sequence[Step]) -> list[Outcome]:
    """Carry out actions once.

    Returns:
        Of each the reply, now or as it was stored; the call it needs; or why its chain stops here (Refused,
        StepOutlived).
    """
    return act_outside(handler, messages) if handler.outside else act_here(handler, messages)


def act_here(handler: Handler, messages: Sequence[Step]) -> list[Outcome]:
    """In this service's own database: barrier, work, events and replies are one transaction.

    Mostly nobody was here before. The work is then done first, and its barrier rows are inserted with its replies and
    events by one statement. Where a row is there already, that or the work itself fails, nothing was done, and all are
    claimed one by one.
    """
    try:
        return act_first(handler, messages)
    except Exception as error:
        if isinstance(error, IntegrityError) or store.knows(step.key for step in messages):
            return act_claimed(handler, messages)
        raise


def act_first(handler: Handler, messages: Sequence[Step]) -> list[Outcome]:
    """Carry out actions that nobody has carried out.

    Raises:
        IntegrityError: somebody has, or the work itself broke a constraint; nothing was done.
    """
    rows, _ = new_rows(handler, messages, Action.DONE)
    written = StepWrites()
    with transaction.atomic():
        outcomes = work(handler, messages, rows, written)
        written.insert()
        reach(Point.BARRIER_INSERTED)
    return [outcomes[step.key] for step in messages]


def act_claimed(handler: Handler, messages: Sequence[Step]) -> list[Outcome]:
    """Carry out the actions whose barrier rows nobody has; answer the others from theirs."""
    rows, digests = new_rows(handler, messages, Action.DONE)
    written = StepWrites()
    with transaction.atomic():
        there = store.claim(list(rows.values()))
        outcomes = work(handler, [step for step in messages if step.key not in there], rows, written)
        written.write()
    return [
        replayed(there[step.key], digests[step.key]) if step.key in there else outcomes[step.key]
        for step in messages
    ]


def work(
    handler: Handler, fresh: Sequence[Step], rows: Mapping[UUID, AnyRow], written: StepWrites
) -> dict[UUID, Outcome]:
    """Let the handler carry out the commands; collect what that writes and return the outcomes by key."""
    assert handler.local is not None
    replies = handler.local([step.command for step in fresh]) if fresh else []
    outcomes: dict[UUID, Outcome] = {}
    for step, reply in zip(fresh, replies, strict=True):
        if isinstance(reply, Refused):
            written.refused(handler, step, rows[step.key], reply)
            outcomes[step.key] = reply
        else:
            assert reply is not None, f"{handler.command.__name__} must be replied to"
            outcomes[step.key] = written.done(step, rows[step.key], reply)
    return outcomes


def act_outside(handler: Handler, messages: Sequence[Step]) -> list[Outcome]:
    """At a provider: intents are committed before any call (rule 8).

    A twin, or a repeat after a crash, that finds the open intent repeats the call with the same key.
    """
    assert handler.outside is not None
    asked = handler.outside.requests([step.command for step in messages])
    requests = dict(zip((step.key for step in messages), asked, strict=True))
    rows, digests = new_rows(handler, messages, Action.INTENT, requests)
    with transaction.atomic():
        there = store.claim(list(rows.values()))
    outcomes: list[Outcome] = []
    for step in messages:
        row = there.get(step.key)
        if row and on_action(store.state(row), digests[step.key]) is not OnAction.CALL_AGAIN:
            outcomes.append(replayed(row, digests[step.key]))
        else:
            request = (row or rows[step.key]).request
            outcomes.append(call(PendingCall(handler, step, request), step.id, settle_actions))
    return outcomes


def call(asked: PendingCall, key: UUID, settle: Callable[[Sequence[Any]], list[Outcome]]) -> Call:
    """The call of an open intent, with the key and the request that were stored with it."""
    assert asked.handler.outside is not None
    outside = asked.handler.outside

    def make() -> dict[str, Any]:
        reach(Point.BEFORE_CALL)
        answer = outside.call(key, asked.request)
        reach(Point.AFTER_CALL)
        return answer

    return Call(make, settle, asked, kind=asked.handler.command)


def settle_actions(pairs: Pairs) -> list[Outcome]:
    """Write the answers of actions over their open intents."""
    written = StepWrites()
    with transaction.atomic():
        rows = store.lock([asked.step.key for asked, _ in pairs])
        outcomes = write_answers(pairs, rows, written)
        written.write()
    return outcomes


def write_answers(pairs: Pairs, rows: Mapping[UUID, AnyRow], written: StepWrites) -> list[Outcome]:
    """Collect what the answers of actions change; return the outcome of each."""
    outcomes: dict[UUID, Outcome] = {}
    done = []
    for asked, answer in pairs:
        step, row = asked.step, rows[asked.step.key]
        refused = isinstance(answer, Refused)
        match on_result(store.state(row), done=not refused):
            case OnResult.KNOWN:
                outcomes[step.key] = dict(row.reply)
                written.found(asked.handler, step, outcomes[step.key])
            case OnResult.TOO_LATE:
                late = StepSuperseded(
                    f"{step.name} of saga {step.saga} was undone while its call was under way"
                )
                outcomes[step.key] = answer if refused else late
            case OnResult.WRITE if isinstance(answer, Refused):
                written.refused(asked.handler, step, row, answer)
                outcomes[step.key] = answer
            case OnResult.WRITE:
                done.append((asked, answer))
    for (asked, _), reply in zip(done, settled(done), strict=True):
        outcomes[asked.step.key] = written.done(asked.step, rows[asked.step.key], reply)
    return [outcomes[asked.step.key] for asked, _ in pairs]


def settled(done: Sequence[tuple[PendingCall, Any]]) -> list[Reply]:
    """Let the handler write what its calls answered into the service's own rows; return the replies."""
    if not done:
        return []
    handler = done[0][0].handler
    assert handler.outside is not None
    replies = handler.outside.settle([(asked.request, answer) for asked, answer in done])
    if len(replies) != len(done) or None in replies:
        raise RuntimeError(f"settle() of {handler.command.__name__} must return a reply for each answer")
    return [reply for reply in replies if reply is not None]


def new_rows(
    handler: Handler, messages: Sequence[Step], action: Action, requests: Mapping[UUID, Any] | None = None
) -> tuple[dict[UUID, AnyRow], dict[UUID, str]]:
    """The barrier rows of actions, and the hashes of their commands."""
    digests = {step.key: command_hash(step.command) for step in messages}
    rows: dict[UUID, AnyRow] = {
        step.key: store.new_row(
            step.key,
            step.saga,
            step.name,
            handler.command.wire_name(),
            command_hash=digests[step.key],
            action=action,
            request=(requests or {}).get(step.key),
        )
        for step in messages
    }
    return rows, digests


def replayed(row: AnyRow, digest: str) -> Outcome:
    """The answer to a repeat, from what is stored."""
    match on_action(store.state(row), digest):
        case OnAction.REPLY_AGAIN:
            return dict(row.reply)
        case OnAction.REFUSE_AGAIN:
            return Refused(row.reply["code"], row.reply["reason"])
        case OnAction.OUTLIVED:
            return StepSuperseded(f"{row.step} of saga {row.saga} was undone or fenced; it will not run")
        case OnAction.CONFLICT:
            conflict = CommandConflict(
                f"{row.step} of saga {row.saga} came again with other contents; compare the dead letter with the"
                f" {row.command} in the barrier"
            )
            return Reject(conflict, requeue=False)
    raise AssertionError(f"a local step left {row.action} behind")
