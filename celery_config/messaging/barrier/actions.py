"""Actions: each takes effect once, however often its message comes (rule 5, the barrier; rule 8, effects outside).

All messages of one command that have arrived run together; a single one is a batch of one. No saga comes twice in a
batch: `run_deduplicated` in participant/handlers.py sees to that.

    run_actions ─┬─ run_local ── run_then_insert, or else claim_then_run ── run_handler
                 └─ open_intents ── the provider's call ── finish_actions ── store_answers ── run_settle
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from celery.exceptions import Reject
from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from celery_config.contracts.base import Reply, command_hash
from celery_config.errors import CommandConflict, DefinitionError, Refused, StepSuperseded, cut_private
from celery_config.failpoints.points import Point, reach
from celery_config.messaging.barrier import store
from celery_config.messaging.barrier.decisions import OnAction, OnResult, on_action, on_result
from celery_config.messaging.barrier.steps import FindHandler, Handler, StepRequest, StepWrites
from celery_config.messaging.barrier.store import AnyRow, NewRow
from celery_config.messaging.deliveries import Call, Outcome
from celery_config.messaging.flow_control.gate import get_gate
from celery_config.messaging.states import Action

E = TypeVar("E", bound=Exception)


@dataclass(frozen=True)
class PendingCall:
    """What a call outside is made for."""

    handler: Handler
    step: StepRequest
    request: dict[str, Any]
    asked_at: datetime | None = None
    """When its intent was committed; None: just now."""

    @property
    def is_key_forgotten(self) -> bool:
        """Whether the provider may have forgotten the key with which the call was first made."""
        lifetime = timedelta(hours=settings.PROVIDER_KEY_HOURS)
        return self.asked_at is not None and timezone.now() - self.asked_at > lifetime

    def cut_private(self, error: E) -> E:
        """What the other side said, without a text that carries private data of the request."""
        return cut_private(error, self.handler.find_private(self.request))


AnsweredCalls = Sequence[tuple[PendingCall, dict[str, Any] | Refused]]


def run_actions(handler: Handler, steps: Sequence[StepRequest]) -> list[Outcome]:
    """Carry out actions once.

    Returns:
        For each its reply, new or stored; the call it needs; or why its chain stops here (Refused, StepSuperseded).
    """
    return open_intents(handler, steps) if handler.outside else run_local(handler, steps)


def run_local(handler: Handler, steps: Sequence[StepRequest]) -> list[Outcome]:
    """In this service's own database: barrier rows, work, events and replies are one transaction.

    Nearly always the steps are new. So the work is done first, and one statement inserts its barrier rows with its
    replies and events. Where a row exists already, that statement or the work fails and all is rolled back; then the
    rows are claimed before the work.
    """
    try:
        return run_then_insert(handler, steps)
    except Exception as error:
        if isinstance(error, IntegrityError) or store.known_keys(step.key for step in steps):
            return claim_then_run(handler, steps)
        raise


def run_then_insert(handler: Handler, steps: Sequence[StepRequest]) -> list[Outcome]:
    """Carry out new actions.

    Raises:
        IntegrityError: one is not new, or the work itself broke a constraint; nothing was done.
    """
    writes = StepWrites(new_action_rows(handler, steps, Action.DONE))
    with transaction.atomic():
        outcomes = run_handler(handler, steps, writes)
        writes.insert()
        reach(Point.BARRIER_INSERTED)
    return [outcomes[step.key] for step in steps]


def claim_then_run(handler: Handler, steps: Sequence[StepRequest]) -> list[Outcome]:
    """Carry out the actions that are new; answer the others from their barrier rows."""
    rows = new_action_rows(handler, steps, Action.DONE)
    writes = StepWrites(rows)
    with transaction.atomic():
        there = store.claim_rows(list(rows.values()))
        outcomes = run_handler(handler, [step for step in steps if step.key not in there], writes)
        writes.flush()
    replayed = {key: replay_outcome(row, rows[key].command_hash) for key, row in there.items()}
    return [(outcomes | replayed)[step.key] for step in steps]


def run_handler(handler: Handler, steps: Sequence[StepRequest], writes: StepWrites) -> dict[UUID, Outcome]:
    """Let the handler carry out the commands; collect what is to be written and return the outcomes by key."""
    replies = handler.run(steps) if steps else []
    handler.check_answers(replies, len(steps))
    outcomes: dict[UUID, Outcome] = {}
    for step, reply in zip(steps, replies, strict=True):
        if isinstance(reply, Refused):
            outcomes[step.key] = writes.mark_refused(handler, step, reply)
        elif reply is not None:
            outcomes[step.key] = writes.mark_done(step, reply)
    return outcomes


def open_intents(handler: Handler, steps: Sequence[StepRequest]) -> list[Outcome]:
    """Commit the intents of calls to a provider before any call is made (rule 8, effects outside).

    A twin, or a repeat after a crash, that finds the intent open repeats the call with the same key.
    """
    requests = handler.make_requests(steps)
    by_key = {step.key: request for step, request in zip(steps, requests, strict=True)}
    rows = new_action_rows(handler, steps, Action.INTENT, by_key)
    with transaction.atomic():
        there = store.claim_rows(list(rows.values()))
    outcomes: list[Outcome] = []
    for step in steps:
        row, digest = there.get(step.key), rows[step.key].command_hash
        if row and on_action(store.pure_row(row), digest) is not OnAction.CALL_AGAIN:
            outcomes.append(replay_outcome(row, digest))
        else:
            asked = row or rows[step.key]
            pending = PendingCall(handler, step, asked.request, asked.created_at)
            outcomes.append(prepare_call(pending, step.id, finish_actions))
    return outcomes


def prepare_call(pending: PendingCall, key: UUID, finish: Callable[[Sequence[Any]], list[Outcome]]) -> Call:
    """The call of an open intent, with the key and the request that the barrier holds.

    Past its key's lifetime it is looked up before it is repeated: a forgotten key would let the provider do it again.

    Args:
        finish: stores the answers, and returns the outcomes.
    """
    assert pending.handler.outside is not None
    outside = pending.handler.outside

    def make() -> dict[str, Any]:
        reach(Point.BEFORE_CALL)
        try:
            answer = outside.look_up(key, pending.request) if pending.is_key_forgotten else None
            if answer is None:
                answer = get_gate().call(lambda: outside.call(key, pending.request))
            reach(Point.AFTER_CALL)
            return answer
        except Exception as error:
            # The other side may repeat what it was asked for.
            failed = pending.cut_private(error)
        # Not within the block above: Python would make the whole error its context.
        raise failed

    return Call(make, finish, pending, kind=pending.handler.command)


def find_calling_handler(find: FindHandler, command: str) -> Handler:
    """The handler of a command whose effect is outside.

    Raises:
        DefinitionError: this service has none.
    """
    handler = find(command)
    if handler is None or handler.outside is None:
        raise DefinitionError(f"no handler that makes a call is registered for {command}")
    return handler


def finish_actions(answered: AnsweredCalls) -> list[Outcome]:
    with StepWrites.over(pending.step for pending, _ in answered) as writes:
        return store_answers(answered, writes)


def store_answers(answered: AnsweredCalls, writes: StepWrites) -> list[Outcome]:
    """Store the answers of actions over their open intents, and no others; return the outcome of each."""
    outcomes: dict[UUID, Outcome] = {}
    done = []
    for pending, answer in answered:
        step, row = pending.step, writes.rows[pending.step.key]
        refused = isinstance(answer, Refused)
        match on_result(store.pure_row(row), done=not refused):
            case OnResult.KNOWN:
                outcomes[step.key] = stored_outcome(row)
                writes.events += step.build_reannouncements(outcomes[step.key])
            case OnResult.TOO_LATE:
                late = StepSuperseded(f"{step.name} of saga {step.saga} was undone while its call ran")
                outcomes[step.key] = answer if refused else late
            case OnResult.WRITE if isinstance(answer, Refused):
                outcomes[step.key] = writes.mark_refused(pending.handler, step, answer)
            case OnResult.WRITE:
                done.append((pending, answer))
    for (pending, _), reply in zip(done, run_settle(done), strict=True):
        outcomes[pending.step.key] = writes.mark_done(pending.step, reply)
    return [outcomes[pending.step.key] for pending, _ in answered]


def run_settle(done: Sequence[tuple[PendingCall, Any]]) -> list[Reply]:
    """Let the handler write the answers into the service's own rows; return the replies."""
    if not done:
        return []
    handler = done[0][0].handler
    assert handler.outside is not None
    replies = handler.outside.settle([(pending.request, answer) for pending, answer in done])
    handler.check_answers(replies, len(done))
    return [reply for reply in replies if reply is not None]


def new_action_rows(
    handler: Handler, steps: Sequence[StepRequest], action: Action, requests: Mapping[UUID, Any] | None = None
) -> dict[UUID, NewRow]:
    name, stored = handler.command.wire_name(), requests or {}
    return {
        s.key: s.new_row(
            name,
            action,
            command_hash=command_hash(s.command),
            request=stored.get(s.key),
            request_id=s.origin.request_id if s.key in stored else "",
        )
        for s in steps
    }


def stored_outcome(row: AnyRow) -> dict[str, Any] | Refused:
    """The reply or the refusal that the row of an action holds."""
    if row.action == Action.REFUSED:
        return Refused(row.reply["code"], row.reply["reason"])
    return dict(row.reply)


def replay_outcome(row: AnyRow, digest: str) -> Outcome:
    """The answer to a repeat, from its barrier row."""
    match on_action(store.pure_row(row), digest):
        case OnAction.REPLY_AGAIN | OnAction.REFUSE_AGAIN if row.reply is not None:
            return stored_outcome(row)
        # An undo that settles a doubt leaves a refusal without a reason.
        case OnAction.OUTLIVED | OnAction.REFUSE_AGAIN:
            return StepSuperseded(f"{row.step} of saga {row.saga} was undone or fenced; it will not run")
        case OnAction.CONFLICT:
            conflict = CommandConflict(
                f"{row.step} of saga {row.saga} came again with other contents; compare the dead letter with the"
                f" {row.command} in the barrier"
            )
            return Reject(conflict, requeue=False)
    raise AssertionError(f"a local step left {row.action} behind")
