"""Message builder: a saga's links as one Celery chain for one outbox row (rule 1, the start). Pure.

Every link has a preset task id (rule 2, ids), an explicit route, and an immutable `link_error` that only the
orchestrator knows (rule 3, the errback). The rest of a chain lies in its first message, last link first, as Celery's
own tracer expects it: nothing has to build a canvas to send it.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Container, Mapping, Sequence
from typing import Any
from uuid import UUID, uuid5

import msgspec

from celery_config.broker.message_authentication import AFTER, MessageKeys
from celery_config.broker.topology import flower_options, route_task, task_queue
from celery_config.common.correlation import Origin
from celery_config.common.services import ORCHESTRATOR
from celery_config.contracts.base import Command, command_id, contract_fields
from celery_config.errors import ChainTooLarge
from celery_config.saga.dsl import Saga, Step, Via, field_sources
from celery_config.saga.engine.machine import Send
from celery_config.saga.engine.plan import Operation, PlannedLink, plan_links
from celery_config.saga.states import StepState

LARGEST_CHAIN = 128 * 1024
REDRIVE_MARGIN = 16 * 1024
"""What a later attempt may add: replies of steps that are done, and longer attempt numbers."""
STEP_FAILED, COMPLETE, COMPENSATED, CALL = (
    f"{ORCHESTRATOR}.{name}" for name in ("step_failed", "complete", "compensated", "call")
)
ERRBACK_ROUTE = route_task(ORCHESTRATOR, STEP_FAILED, urgent=True)
Link = dict[str, Any]
Locks = dict[str, tuple[str, list[str]]]
"""The last step of each service so far, and the locks that its proof opens (rule 29, authenticity)."""


@dataclasses.dataclass(frozen=True)
class ChainBuilder:
    """Builds the chains of one saga at one attempt (the attempt only tells tries apart in Flower)."""

    saga: type[Saga]
    id: UUID
    data: dict[str, Any]
    attempt: int
    log: Mapping[str, StepState] = dataclasses.field(default_factory=dict)
    """What is known of the steps; each link says it of its own step."""
    keys: MessageKeys = dataclasses.field(default_factory=MessageKeys)
    """They prove that the links are ours (rule 29, authenticity)."""
    origin: Origin = dataclasses.field(default_factory=Origin)
    """What began the saga. The first message says it, and the services pass it on."""

    def build(self, send: Send, replies: Mapping[str, Any] | None = None) -> Link:
        """The message that `send` stands for.

        Args:
            replies: those known so far, by step; the first link's argument.

        Raises:
            ChainTooLarge: the message would exceed `LARGEST_CHAIN` bytes, or, of a redrive, those and
                `REDRIVE_MARGIN` (rule 4, small chains): what was accepted can also be driven again.
        """
        links, locks = list[Link](), Locks()
        for planned in plan_chain(self.saga, send, replies or {}):
            links.append(self.build_link(planned, locks))
            if planned.step:
                service = self.saga.steps[self.saga.index(planned.step)].command.service
                about = (service, self.saga_id, planned.step, planned.operation.value)
                locks[service] = (planned.step, self.keys.make_locks(*about))
        links[0]["options"] |= self.origin.make_headers()
        return join_links(links, replies or {}, LARGEST_CHAIN + (REDRIVE_MARGIN if self.attempt else 0))

    def build_link(self, link: PlannedLink, locks: Locks | None = None) -> Link:
        """Build a link that waits for the steps with these locks."""
        match link.operation:
            case Operation.COMPLETE:
                return self.link(COMPLETE, ORCHESTRATOR, "", "complete", {})
            case Operation.COMPENSATED:
                return self.link(
                    COMPENSATED, ORCHESTRATOR, "", "compensated", {"incomplete": link.incomplete}
                )
        step = self.saga.steps[self.saga.index(link.step)]
        after = self.wait_for_others(step.command.service, locks)
        match link.operation:
            case Operation.DO:
                needs = field_sources(self.saga, step, step.command)
                needed = {"needs": needs} if needs else {}
                return self.step_link(step.command, step, "do", needed | after, urgent=link.urgent)
            case Operation.FENCE:
                more = {"pivot": step.command.wire_name(), "subject": self.subject, **after}
                return self.participant_link(f"{step.command.service}.fence", step, "fence", more)
        assert step.undo is not None
        return self.step_link(step.undo, step, "undo", after)

    def wait_for_others(self, service: str, locks: Locks | None) -> dict[str, Any]:
        """What makes a link of `service` wait for the other services: a service knows itself what it has done."""
        after = {step: each for other, (step, each) in (locks or {}).items() if other != service and each}
        return {AFTER: after} if after else {}

    def step_link(
        self, command: type[Command], step: Step, operation: str, more: dict[str, Any], *, urgent: bool = True
    ) -> Link:
        names = [f.name for f in contract_fields(command)]
        fields = {name: self.data[name] for name in names if name in self.data}
        more = {"operation": operation, "command": fields, **more}
        return self.participant_link(command.wire_name(), step, operation, more, urgent=urgent)

    def participant_link(
        self, task: str, step: Step, operation: str, more: dict[str, Any], *, urgent: bool = True
    ) -> Link:
        """The link that the participant's worker carries out; over REST our own worker calls the participant.

        That the step is known to be done stands beside the command: no hash holds it (rule 7, the undo).
        """
        if self.log.get(step.name) is StepState.DONE:
            more = {**more, "known": StepState.DONE.value}
        if step.via is Via.AMQP:
            return self.link(task, step.command.service, step.name, operation, more, urgent=urgent)
        message = {"saga": self.saga_id, "step": step.name, "attempt": self.attempt, **more}
        message |= self.keys.sign_message(step.command.service, task, message)
        outer = {AFTER: more[AFTER]} if AFTER in more else {}
        more = {"operation": operation, "task": task, "message": message, **outer}
        return self.link(CALL, ORCHESTRATOR, step.name, operation, more, urgent=urgent)

    def link(
        self, task: str, service: str, step: str, operation: str, more: dict[str, Any], *, urgent: bool = True
    ) -> Link:
        route = route_task(service, task, urgent=urgent)
        options = self.options(route, step, operation, operation)
        options["link_error"] = [self.errback(step, operation)]
        kwargs = {"saga": self.saga_id, "step": step, "attempt": self.attempt, **more}
        kwargs |= self.keys.sign_message(service, task, kwargs)
        return {"task": task, "args": [], "kwargs": kwargs, "options": options}

    def errback(self, step: str, operation: str) -> Link:
        return {
            "task": STEP_FAILED,
            "args": [],
            "kwargs": {"saga": self.saga_id, "step": step, "operation": operation, "attempt": self.attempt},
            "options": self.options(ERRBACK_ROUTE, step, operation, f"{operation} failed"),
            "immutable": True,
        }

    @functools.cached_property
    def saga_id(self) -> str:
        return str(self.id)

    @functools.cached_property
    def subject(self) -> str:
        return str(self.data[contract_fields(self.saga.data)[0].name])

    def options(self, route: Mapping[str, Any], step: str, operation: str, key: str) -> dict[str, Any]:
        """The route, what Flower shows, and the task id, which `key` and the attempt make unique."""
        ids = {"saga": self.saga_id, "step": step, "operation": operation}
        task_id = uuid5(command_id(self.id, step, key), str(self.attempt))
        shown = flower_options(**ids, subject=self.subject, attempt=self.attempt)
        return {"task_id": str(task_id), **route, **shown}


def plan_chain(saga: type[Saga], send: Send, done: Container[str]) -> Sequence[PlannedLink]:
    """The links that `send` stands for; all are urgent once the pivot is done, also a repeat of what comes before it.

    Args:
        done: the names of the steps that are known as done.
    """
    links = plan_links(saga, send)
    return [link._replace(urgent=True) for link in links] if saga.is_past_pivot(done) else links


def find_queue(saga: type[Saga], link: PlannedLink) -> str:
    """The queue that a link waits in."""
    step = saga.steps[saga.index(link.step)] if link.step else None
    service = step.command.service if step and step.via is Via.AMQP else ORCHESTRATOR
    return task_queue(service, urgent=link.urgent)


def join_links(links: list[Link], replies: Mapping[str, Any], limit: int = LARGEST_CHAIN) -> Link:
    """The first link, with all others in its options and `replies` as its argument; `limit` is in bytes."""
    first, rest = links[0], links[1:]
    message = {**first, "args": [replies], "options": {**first["options"], "chain": rest[::-1]}}
    # JSON's escapes take up to three times the bytes of UTF-8. The fast encoder clears most messages.
    largest = 3 * len(msgspec.json.encode(message))
    if largest > limit and (size := len(json.dumps(message))) > limit:
        raise ChainTooLarge(f"the messages of this saga take {size} bytes, over the {limit} a chain may have")
    return message
