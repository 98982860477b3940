"""The one kind of Celery task used here: its transient errors go to the outbox, not to the broker (rule 10)."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal
from uuid import UUID

import msgspec
import structlog
from celery import Task, shared_task
from celery.exceptions import Ignore, Reject
from django.conf import settings
from django.db import Error as DatabaseFailure
from django.db import transaction

from celery_config import topology
from celery_config.failpoints import Point, reach
from celery_config.messages import decode
from celery_config.messaging import gate, outbox

log = structlog.get_logger(__name__)


def durable_task(
    name: str,
    *,
    throws: tuple[type[Exception], ...] = (),
    exhausted: Literal["errback", "dead letter"],
    send_events: bool = True,
    on_exhausted: Callable[[Task, Exception], None] | None = None,
) -> Callable[[Callable[..., Any]], Task]:
    """Register a task whose unexpected errors are tried again from the outbox, with its chain and errbacks.

    Args:
        name: on the wire.
        throws: decided outcomes; they are raised as they are, which fires the errback. What cannot be decoded
            is rejected to the dead letters at once.
        exhausted: what becomes of an error after the last try: the task fails (its errback fires), or its
            message is rejected to the dead letters.
        send_events: whether Flower hears of each run.
        on_exhausted: called before either, in a transaction of its own.
    """

    def register(function: Callable[..., Any]) -> Task:
        signature = inspect.signature(function)

        @functools.wraps(function)
        def run(task: Task, *args: Any, **kwargs: Any) -> Any:
            structlog.contextvars.clear_contextvars()
            structlog.contextvars.bind_contextvars(task=name, task_id=task.request.id)
            reach(Point.DELIVERED)
            check_arguments(signature, task, args, kwargs)
            try:
                result = function(task, *args, **kwargs)
            except (Ignore, Reject):
                raise
            except throws:
                reach(Point.ERRBACK_PENDING)
                raise
            except msgspec.ValidationError as error:
                # It will not be understood the next time either.
                log.error("to the dead letters", fault=str(error))
                raise Reject(error, requeue=False) from error
            except Exception as error:
                gate.close_if_away(error)
                if try_later(task, error):
                    raise Ignore from error
                log.error("gave up", tries=task.request.retries + 1, exc_info=error)
                if on_exhausted:
                    with transaction.atomic():
                        on_exhausted(task, error)
                if exhausted == "dead letter":
                    raise Reject(error, requeue=False) from error
                reach(Point.ERRBACK_PENDING)
                raise
            reach(Point.NEXT_UNPUBLISHED)
            return result

        # `bind` also makes Celery publish these as errbacks instead of running them inline (rule 3).
        return shared_task(name=name, bind=True, throws=throws, send_events=send_events)(run)

    return register


def check_arguments(
    signature: inspect.Signature, task: Task, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> None:
    """Raise Reject (to the dead letters) unless the task can be called so, and its saga's id is one."""
    try:
        signature.bind(task, *args, **kwargs)
        if (saga := kwargs.get("saga")) is not None:
            decode(UUID, saga)
    except (TypeError, msgspec.ValidationError) as error:
        log.error("to the dead letters", fault=str(error))
        raise Reject(error, requeue=False) from error


def try_later(task: Task, error: Exception) -> bool:
    """Promise the message of `task` again after a wait; False when its tries are used up.

    Raises:
        Reject: the database is away, so that nothing can be promised; the broker keeps the message.
    """
    delay = settings.TIMES.retry_delay(task.request.retries)
    if delay is None:
        return False
    saga = task.request.kwargs.get("saga")
    try:
        with transaction.atomic():
            outbox.add_task(message_of(task), saga=UUID(saga) if saga else None, delay=delay)
    except DatabaseFailure as failure:
        gate.close_if_away(failure)
        log.error("database away; the message goes back to the broker", error=str(failure))
        raise Reject(failure, requeue=True) from failure
    log.warning(
        "failed, tried again later", error=repr(error), tries=task.request.retries + 1, wait_s=round(delay, 2)
    )
    return True


def message_of(task: Task) -> dict[str, Any]:
    """The message that `task` is running, as an outbox payload for its next try; same id, chain and errbacks."""
    request = task.request
    return {
        "task": task.name,
        "args": list(request.args),
        "kwargs": request.kwargs,
        "options": {
            "task_id": request.id,
            "root_id": request.root_id,
            "parent_id": request.parent_id,
            "chain": request.chain,
            "link_error": request.errbacks,
            "retries": request.retries + 1,
            "argsrepr": getattr(request, "argsrepr", None),
            "kwargsrepr": getattr(request, "kwargsrepr", None),
            **topology.commands_to(settings.SERVICE),
        },
    }
