"""Continuations of a task: the next link of its chain, or its errbacks, as Celery itself would send them. Pure.

The messages are those that Celery's own tracer publishes (`Signature.apply_async` of the chain's next link, and
`Backend._call_task_errbacks`), built without its canvas. Celery's worker and ours are therefore interchangeable.
"""

from __future__ import annotations

from typing import Any

from celery.app.task import Context
from celery.exceptions import Ignore, Reject

from celery_config.common.correlation import copy_headers
from celery_config.messaging.deliveries import Outcome

Message = dict[str, Any]


def next_messages(task: str, request: Context, outcome: Outcome) -> list[Message]:
    """The messages that follow from the `outcome` of `request`.

    Args:
        task: the name of the task that had this outcome.
    """
    if isinstance(outcome, (Ignore, Reject)):
        return []
    if isinstance(outcome, Exception):
        return [build_message(task, request, errback) for errback in request.errbacks or []]
    if not request.chain:
        return []
    *rest, link = request.chain
    args = [] if link.get("immutable") else [outcome]
    return [build_message(task, request, link, args=args, chain=rest)]


def build_message(
    sender: str, request: Context, signature: Message, *, args: list[Any] | None = None, **options: Any
) -> Message:
    root = request.root_id or request.id
    return {
        "sender": sender,
        "task": signature["task"],
        "args": [*(args or []), *signature.get("args", ())],
        "kwargs": signature.get("kwargs", {}),
        "options": {
            **signature["options"],
            **copy_headers(request),
            "parent_id": request.id,
            "root_id": root,
            **options,
        },
    }


def strip_sender(message: Message) -> Message:
    """The message as an outbox row, which has no sender any more."""
    return {name: value for name, value in message.items() if name != "sender"}
