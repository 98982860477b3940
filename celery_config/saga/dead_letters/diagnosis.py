"""Diagnosis: what is wrong with a dead letter, in words for the operator who reads its page."""

from __future__ import annotations

import functools
from typing import Any

import msgspec
from celery import current_app
from django.conf import settings
from kombu.message import Message

from celery_config.broker.message_authentication import WORDS, read_words
from celery_config.broker.topology import RECEIVE, RECEIVE_ALL, events_queue, is_worker_queue, task_queues
from celery_config.broker.validation import find_fault
from celery_config.common.services import ORCHESTRATOR
from celery_config.contracts.base import decode
from celery_config.messaging.inbox.subscriptions import Envelope, select_events, subscriptions
from celery_config.participant.handlers import FenceMessage, StepMessage
from celery_config.saga.dead_letters.shapes import Shape, find_mismatch, step_shapes
from celery_config.saga.dsl import Saga
from celery_config.saga.engine.chains import COMPENSATED, COMPLETE
from celery_config.saga.states import StepState

ENDS = {COMPLETE: StepState.DONE, COMPENSATED: StepState.UNDONE}
"""The last links of chains, and what they say of all steps."""


def diagnose(message: Message, reason: str, queue: str) -> str:
    """Say what is wrong with the message, as far as it shows.

    Args:
        reason: the broker's reason, such as `rejected`.
        queue: where the message came from; empty if unknown.
    """
    if fault := find_fault(message):
        return fault
    if reason == "delivery_limit":
        return "delivered again and again and never finished: it kills its worker, or its workers were killed"
    if fault := find_contract_fault(message, queue):
        return fault
    return (
        "it fits its task as this release knows it, and its worker rejected it: that worker has another release, met a"
        " conflict, or used up its tries; its log says which"
    )


def find_contract_fault(message: Message, queue: str) -> str | None:
    """Say what of the message no worker of this release could read, or None.

    Args:
        queue: where the message came from; empty if unknown.
    """
    shapes = load_shapes()
    if fault := find_fault(message, shapes):
        return fault
    args, kwargs, _ = message.payload
    task = message.headers["task"]
    # Every service subscribes to events, and retried events come with its commands.
    origin = "" if task in (RECEIVE, RECEIVE_ALL) and is_worker_queue(queue) else queue
    if fault := find_mismatch(shapes[task], origin, args, kwargs):
        return fault
    for event in {RECEIVE: [kwargs], RECEIVE_ALL: kwargs.get("events", [])}.get(task, []):
        if fault := find_event_mismatch(event):
            return fault
    if steps := find_unvouched_steps(task, *args, **kwargs):
        return f"not authentic: no service vouches for what it brings of {', '.join(steps)}"
    return None


@functools.cache
def load_shapes() -> dict[str, Shape]:
    """The shapes of our own tasks and of those that our sagas send to participants, by task."""
    current_app.loader.import_default_modules()  # the relay has not loaded the tasks yet
    own = {
        name: Shape(
            [events_queue(ORCHESTRATOR)] if name in (RECEIVE, RECEIVE_ALL) else task_queues(ORCHESTRATOR),
            task.work.message,
            task.work.chained,
        )
        for name, task in current_app.tasks.items()
        if hasattr(task, "work")
    }
    return own | step_shapes(Saga.registry.values(), StepMessage, FenceMessage)


def find_unvouched_steps(task: str, replies: Any = None, *_: Any, saga: str = "", **__: Any) -> list[str]:
    """The steps whose outcomes, as the end of a chain brings them, no service vouches for (rule 29, authenticity)."""
    if task not in ENDS or not isinstance(replies, dict):
        return []
    words, keys = read_words(replies), settings.MESSAGE_KEYS
    return [
        step
        for step, reply in replies.items()
        if step != WORDS and keys.find_speaker(words.get(step), saga, step, ENDS[task].value, reply) is None
    ]


def find_event_mismatch(kwargs: dict[str, Any]) -> str | None:
    """Say which part of the event its subscribers cannot read, or None."""
    try:
        envelope = decode(Envelope, kwargs)
        for subscription in subscriptions:
            select_events(subscription, [kwargs], [envelope])
    except msgspec.ValidationError as error:
        return str(error)
    return None
