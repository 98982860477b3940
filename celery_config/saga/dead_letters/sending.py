"""Sending a dead letter again: the same message with the same id, or why it can only be read and dismissed.

A command goes out unchanged, with what authenticates it, so the barrier of its receiver makes a repeat harmless. An
event is announced again by its source, from the source's own outbox, and only to the service that refused it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec
from kombu.message import Message

from celery_config.broker.properties import DEATHS
from celery_config.broker.topology import (
    EVENT_TASKS,
    RECEIVE_ALL,
    is_worker_queue,
    route_task,
    urgent_queue,
)
from celery_config.common.correlation import HEADERS
from celery_config.common.services import SERVICES
from celery_config.contracts.base import decode
from celery_config.messaging.announcing import AskedEvent
from celery_config.messaging.inbox.subscriptions import Envelope, find_contract
from celery_config.messaging.tasks import LONGEST_SHOWN
from celery_config.saga.dead_letters.diagnosis import find_contract_fault
from celery_config.saga.dead_letters.letter import find_forgery, last_death, read_payload
from celery_config.saga.models import DeadLetter
from celery_config.web.text import has_unstorable_text

ERASED = "its body is erased"
NO_QUEUE = "it came from no queue of a service"
UNSTORABLE = "it holds the character NUL, and cannot be stored in the outbox"
NO_SOURCE = "its events name no service that could announce them again"


@dataclass(frozen=True)
class StoredLetter:
    """A kept dead letter as the message that it was."""

    row: DeadLetter

    @cached_property
    def message(self) -> Message:
        return Message(
            body=self.row.body, headers=self.row.headers, content_type="application/json",
            content_encoding="utf-8", accept={"application/json"},
        )  # fmt: skip

    @property
    def service(self) -> str:
        """The service that refused it."""
        return self.row.queue.partition(".")[0]

    @property
    def is_event(self) -> bool:
        return self.row.task.startswith(EVENT_TASKS)

    @cached_property
    def events(self) -> list[Envelope]:
        """Its events; it must have no fault."""
        _, kwargs, _ = self.message.payload
        return [decode(Envelope, each) for each in list_events(self.row.task, kwargs)]

    @property
    def source(self) -> str:
        """The service that announced its events; it must have no fault."""
        return self.events[0].source.removeprefix("/")

    @cached_property
    def fault(self) -> str:
        """Why it cannot be sent again: what fails today's contract, or the check of who sent it; empty: it can."""
        if not self.row.body:
            return ERASED
        if not is_worker_queue(self.row.queue):
            return NO_QUEUE
        try:
            return self.find_fault()
        except Exception as error:  # it is untrusted: each of the readers raises errors of its own
            return f"it cannot be read: {type(error).__name__}"

    def find_fault(self) -> str:
        replies, kwargs = read_payload(self.message)
        death = last_death(self.row.headers.get(DEATHS))
        if fault := find_contract_fault(self.message, self.row.queue):
            return fault
        if fault := find_forgery(self.row.task, replies, kwargs, death):
            return fault
        if not self.is_event:
            return UNSTORABLE if has_unstorable_text(self.message.payload) else ""
        for event in list_events(self.row.task, kwargs):
            try:
                decode(find_contract(event["type"]), event.get("data"))
            except msgspec.ValidationError as error:
                return str(error)
        sources = {each.source for each in self.events}
        return "" if len(sources) == 1 and self.source in SERVICES else NO_SOURCE

    def make_message(self) -> dict[str, Any]:
        """Return the command as the outbox takes it. Its tries begin again."""
        args, kwargs, embed = self.message.payload
        headers, task = self.row.headers, self.row.task
        return {
            "task": task,
            "args": args,
            "kwargs": kwargs,
            "options": {
                "task_id": self.row.task_id,
                "root_id": headers.get("root_id"),
                "parent_id": headers.get("parent_id"),
                "chain": (embed or {}).get("chain"),
                "link_error": (embed or {}).get("errbacks"),
                **{name: headers[name] for name in HEADERS if name in headers},
                "argsrepr": str(headers.get("argsrepr") or "")[:LONGEST_SHOWN],
                "kwargsrepr": str(headers.get("kwargsrepr") or "")[:LONGEST_SHOWN],
                **route_task(self.service, task, urgent=self.row.queue == urgent_queue(self.service)),
            },
        }

    def ask_for_events(self) -> list[AskedEvent]:
        """Return how the source finds these events in its outbox."""
        return [AskedEvent(each.id, each.saga, each.time) for each in self.events]


def list_events(task: str, kwargs: dict[str, Any]) -> list[dict[str, Any]]:
    return list(kwargs["events"]) if task == RECEIVE_ALL else [kwargs]


def list_message_ids(row: DeadLetter) -> list[str]:
    """Return the ids under which a letter comes back that is refused again: its own, and those of its events."""
    letter = StoredLetter(row)
    ids = [row.task_id] if row.task_id else []
    if row.task != RECEIVE_ALL or not row.body:
        return ids
    _, kwargs = read_payload(letter.message)
    events: Iterable[Any] = kwargs.get("events") or ()
    return [*ids, *(str(each.get("id")) for each in events if isinstance(each, dict))]
