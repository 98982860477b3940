"""Why a message became a dead letter."""

from __future__ import annotations

import functools
from typing import Any

import msgspec
from celery import current_app
from kombu.message import Message

from celery_config.broker import topology
from celery_config.broker.topology import commands_queue, events_queue
from celery_config.broker.validation import fault_of
from celery_config.common.services import ORCHESTRATOR
from celery_config.contracts.base import decode
from celery_config.messaging.event_envelopes import RECEIVE, RECEIVE_ALL
from celery_config.messaging.inbox.subscriptions import Envelope, subscriptions, understood
from celery_config.participant.handlers import FenceMessage, StepMessage
from celery_config.saga.dead_letters.shapes import Shape, misfit, shapes_of_steps
from celery_config.saga.dsl import Saga


def why(message: Message, reason: str, queue: str) -> str:
    """What is wrong with the message, as far as it shows.

    Args:
        reason: the broker's, such as `rejected`.
        queue: the one that it came from; empty: not known.
    """
    if fault := fault_of(message):
        return fault
    if reason == "delivery_limit":
        return "delivered again and again and never finished: it kills its worker, or its workers were killed"
    shapes = known_shapes()
    if fault := fault_of(message, shapes):
        return fault
    args, kwargs, _ = message.payload
    task = message.headers["task"]
    # Every service hears events, and those that are tried again come with its commands.
    came_to = "" if task in (RECEIVE, RECEIVE_ALL) and queue in topology.work_queues() else queue
    if fault := misfit(shapes[task], came_to, args, kwargs):
        return fault
    for event in {RECEIVE: [kwargs], RECEIVE_ALL: kwargs.get("events", [])}.get(task, []):
        if fault := misfit_of_event(event):
            return fault
    return "it fits its task, and its worker rejected it: a conflict, or used-up tries; see its log"


@functools.cache
def known_shapes() -> dict[str, Shape]:
    """What our own tasks take, and those that our sagas ask others for, by task."""
    current_app.loader.import_default_modules()  # the relay has no other reason to know the tasks
    ours = {
        name: Shape(
            events_queue(ORCHESTRATOR) if name in (RECEIVE, RECEIVE_ALL) else commands_queue(ORCHESTRATOR),
            task.work.message,
            task.work.chained,
        )
        for name, task in current_app.tasks.items()
        if hasattr(task, "work")
    }
    return ours | shapes_of_steps(Saga.registry.values(), StepMessage, FenceMessage)


def misfit_of_event(kwargs: dict[str, Any]) -> str | None:
    """Say which part of the event its subscribers cannot take, or None."""
    try:
        envelope = decode(Envelope, kwargs)
        for subscription in subscriptions:
            understood(subscription, [kwargs], [envelope])
    except msgspec.ValidationError as error:
        return str(error)
    return None
