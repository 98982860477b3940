"""What follows from an outcome: the next link of the chain, or its errbacks. Pure.

The messages are those that Celery's own tracer publishes (`Signature.apply_async` of the chain's next link, and
`Backend._call_task_errbacks`), built without its canvas; a plain worker and ours are therefore interchangeable.
"""

from __future__ import annotations

from typing import Any

from celery.app.task import Context
from celery.exceptions import Ignore, Reject

from celery_config.messaging.deliveries import Outcome

Message = dict[str, Any]


def following(task: str, request: Context, outcome: Outcome) -> list[Message]:
    """The messages that `outcome` of `request` sends.

    Args:
        task: whose outcome it is.
    """
    if isinstance(outcome, (Ignore, Reject)):
        return []
    if isinstance(outcome, Exception):
        return [message_of(task, request, errback) for errback in request.errbacks or []]
    chain = request.chain or []
    if not chain:
        return []
    link = chain[-1]
    before = [] if link.get("immutable") else [outcome]
    return [message_of(task, request, link, before=before, chain=chain[:-1])]


def message_of(
    sender: str, request: Context, signature: Message, *, before: list[Any] | None = None, **more: Any
) -> Message:
    root = request.root_id or request.id
    return {
        "sender": sender,
        "task": signature["task"],
        "args": [*(before or []), *signature.get("args", ())],
        "kwargs": signature.get("kwargs", {}),
        "options": {**signature["options"], "parent_id": request.id, "root_id": root, **more},
    }


def without_sender(message: Message) -> Message:
    """The message as a promise of its own, which the relay sends."""
    return {name: value for name, value in message.items() if name != "sender"}
