"""Builds the messages of a saga: one Celery chain in one outbox row. Pure.

Every link has a preset task id, an explicit route, and an immutable `link_error` that only the orchestrator
knows (rules 1 to 3). The rest of a chain lies in its first message, last link first, as Celery's own tracer
expects it; so no canvas has to be built to send it.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any
from uuid import UUID, uuid5

import msgspec

from celery_config.broker.topology import commands_to, shown
from celery_config.common.services import ORCHESTRATOR
from celery_config.contracts.base import Command, command_id, fields_of
from celery_config.errors import ChainTooLarge
from celery_config.saga.dsl import Saga, Step, Via, field_sources
from celery_config.saga.engine.machine import Drive, Send, Stop, UndoBefore
from celery_config.saga.engine.plan import Operation, Planned, planned

LARGEST_CHAIN = 128 * 1024
STEP_FAILED, COMPLETE, COMPENSATED, CALL = (
    f"{ORCHESTRATOR}.{name}" for name in ("step_failed", "complete", "compensated", "call")
)
Link = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Chains:
    """The chains of one saga instance at one attempt (which only tells tries apart in Flower)."""

    saga: type[Saga]
    id: UUID
    data: dict[str, Any]
    attempt: int

    def drive(self, step: str | None, replies: dict[str, Any]) -> Link:
        """The actions from `step` on (None: none), then `complete`."""
        return self.chain(Drive(step), replies)

    def stop(self) -> Link:
        """The pivot's fence, the undos of all compensatable steps, last to first, then `compensated` (rule 12)."""
        return self.chain(Stop(), {})

    def undo_before(self, step: str) -> Link:
        """The undos before that of `step`, then `compensated(incomplete)` (rule 15)."""
        return self.chain(UndoBefore(step), {})

    def chain(self, send: Send, replies: dict[str, Any]) -> Link:
        """The message that `send` stands for, with `replies` as its first argument."""
        return chained([self.built(link) for link in planned(self.saga, send)], replies)

    def built(self, link: Planned) -> Link:
        match link.operation:
            case Operation.COMPLETE:
                return self.own(COMPLETE, "complete", {})
            case Operation.COMPENSATED:
                return self.own(COMPENSATED, "compensated", {"incomplete": link.incomplete})
        step = self.saga.steps[self.saga.index(link.step)]
        match link.operation:
            case Operation.DO:
                needs = field_sources(self.saga, step, step.command)
                return self.step_link(step.command, step, "do", {"needs": needs} if needs else {})
            case Operation.FENCE:
                return self.fence(step)
        assert step.undo is not None
        return self.step_link(step.undo, step, "undo", {})

    def step_link(self, command: type[Command], step: Step, operation: str, more: dict[str, Any]) -> Link:
        names = [f.name for f in fields_of(command)]
        fields = {name: self.data[name] for name in names if name in self.data}
        more = {"operation": operation, "command": fields, **more}
        return self.participant_link(command.wire_name(), step, operation, more)

    def fence(self, step: Step) -> Link:
        more = {"pivot": step.command.wire_name(), "subject": self.subject}
        return self.participant_link(f"{step.command.service}.fence", step, "fence", more)

    def participant_link(self, task: str, step: Step, operation: str, more: dict[str, Any]) -> Link:
        """The link that the participant's worker carries out; over REST ours does, by calling the participant."""
        if step.via is Via.AMQP:
            return self.link(task, step.command.service, step.name, operation, more)
        message = {"saga": str(self.id), "step": step.name, "attempt": self.attempt, **more}
        more = {"operation": operation, "task": task, "message": message}
        return self.link(CALL, ORCHESTRATOR, step.name, operation, more)

    def own(self, task: str, operation: str, more: dict[str, Any]) -> Link:
        return self.link(task, ORCHESTRATOR, "", operation, more)

    def link(self, task: str, service: str, step: str, operation: str, more: dict[str, Any]) -> Link:
        who = {"saga": str(self.id), "step": step}
        options = {
            "task_id": str(self.task_id(step, operation)),
            **commands_to(service),
            **self.shown(step, operation),
            "link_error": [self.errback(step, operation)],
        }
        return {
            "task": task,
            "args": [],
            "kwargs": {**who, "attempt": self.attempt, **more},
            "options": options,
        }

    def errback(self, step: str, operation: str) -> Link:
        return {
            "task": STEP_FAILED,
            "args": [],
            "kwargs": {"saga": str(self.id), "step": step, "operation": operation, "attempt": self.attempt},
            "options": {
                "task_id": str(self.task_id(step, f"{operation} failed")),
                **commands_to(ORCHESTRATOR),
                **self.shown(step, operation),
            },
            "immutable": True,
        }

    @property
    def subject(self) -> str:
        return str(self.data[fields_of(self.saga.data)[0].name])

    def shown(self, step: str, operation: str) -> dict[str, str]:
        return shown(saga=self.id, step=step, operation=operation, subject=self.subject, attempt=self.attempt)

    def task_id(self, step: str, operation: str) -> UUID:
        return uuid5(command_id(self.id, step, operation), str(self.attempt))


def chained(links: list[Link], replies: dict[str, Any]) -> Link:
    """The first link with all others in its options, and `replies` as its first argument.

    Raises:
        ChainTooLarge: the message would exceed `LARGEST_CHAIN` bytes (rule 4).
    """
    first, rest = links[0], links[1:]
    message = {**first, "args": [replies], "options": {**first["options"], "chain": rest[::-1]}}
    # On the wire a letter that is not ASCII takes up to three times its bytes; few messages need to be measured.
    if (
        3 * len(msgspec.json.encode(message)) > LARGEST_CHAIN
        and (size := len(json.dumps(message))) > LARGEST_CHAIN
    ):
        raise ChainTooLarge(
            f"the messages of this saga take {size} bytes, over the {LARGEST_CHAIN} a chain may have"
        )
    return message
