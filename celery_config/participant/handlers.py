"""Handlers: a participant's `tasks.py` registers them, and each carries out a step's command exactly once.

    @handles(ReserveStock)
    def reserve_stock(commands: Sequence[ReserveStock]) -> list[StockReserved | Refused]:
        return services.reserve_stock(commands)

makes the Celery task `inventory.reserve_stock`. The function gets all commands that have arrived, each once, and
returns a reply or a refusal for each (None for an undo). With a second parameter it also gets a `StepContext` for each.
What it writes, the barrier rows, the replies and the events are one transaction. `handles_one` is for a function that
takes a single command, `handles_outside` for effects at a provider. With its first handler a participant also gets the
task `SERVICE.fence`.

A refused step, or one whose tries are used up, fires Celery's errback, which carries no reason. So this side sends the
reason by two other roads: as the step's event (`StepWrites.mark_refused`, `announce_giving_up`), and, in a stop chain,
among the replies (`stored_refusal`). The orchestrator joins the three (rule 6, outcomes).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial, wraps
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
import structlog
from celery import Task, current_app
from celery.exceptions import Ignore, Reject
from django.conf import settings
from django.db import transaction

from celery_config.broker.message_authentication import WORDS, read_words
from celery_config.common import metrics
from celery_config.common.grouping import group_by, split_unique
from celery_config.common.identifiers import uuid7_time
from celery_config.contracts.base import Command, Reply, StepGaveUp, fill_command
from celery_config.errors import (
    CallFailed,
    DefinitionError,
    OutcomeUnknown,
    Refused,
    ServiceUnavailable,
    StepLost,
    StepSuperseded,
)
from celery_config.messaging import epochs, retention
from celery_config.messaging.barrier import failed_tries, store
from celery_config.messaging.barrier.actions import run_actions
from celery_config.messaging.barrier.compensations import undo_actions
from celery_config.messaging.barrier.context import StepContext, takes_context
from celery_config.messaging.barrier.fences import Fence, fence_pivots
from celery_config.messaging.barrier.steps import (
    FindHandler,
    Handler,
    LocalStep,
    OutsideStep,
    S,
    StepRequest,
)
from celery_config.messaging.deliveries import Delivery, FailedTry, HeldBack, Outcome, ReportedLost
from celery_config.messaging.holds.targets import AskedStep
from celery_config.messaging.outbox import writing
from celery_config.messaging.tasks import Work, durable_task

log = structlog.get_logger(__name__)
Attempt = Annotated[int, msgspec.Meta(ge=0, lt=2**31)]
Answered = Sequence[tuple[dict[str, Any], dict[str, Any]]]
"""Requests of calls outside, each with its answer."""
KNOWN_DONE = "done"
OUTCOMES = ("done", "refused", "outlived", "pivot ran", "lost", "held", "failed")
NumberedStep = tuple[int, S]
CarryOut = Callable[[str, Sequence[S]], list[Outcome]]
"""Carries out the steps of one operation, of which no two have the same barrier row."""
registry: dict[str, Handler] = {}
fenced: set[str] = set()
"""The services whose fence is registered: that of this process."""
importing = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class StepMessage:
    """A link of a chain; `needs` names the fields of the command that come from earlier steps' replies."""

    saga: UUID
    step: str
    operation: Literal["do", "undo"]
    attempt: Attempt
    command: dict[str, Any]
    needs: dict[str, str] | None = None
    known: str = ""
    """What the saga log knows of the step; not a part of the command, so no hash holds it."""

    @property
    def subject(self) -> str:
        """The id of what the command is about: its first field."""
        return str(next(iter(self.command.values()), ""))


@dataclass(frozen=True, kw_only=True)
class FenceMessage:
    """The first link of a stop chain."""

    saga: UUID
    step: str
    attempt: Attempt
    pivot: str
    subject: str
    known: str = ""
    operation: Literal["fence"] = "fence"


def handles(command: type[Command]) -> Callable[[LocalStep], LocalStep]:
    """Register the function as the handler of `command`, for effects in this service's own database."""

    def decorate(function: LocalStep) -> LocalStep:
        register_handler(Handler(command, local=function))
        return function

    return decorate


def handles_one(command: type[Command]) -> Callable[[Callable[..., Reply | None]], Any]:
    """Register a function that takes one command and returns the reply (None for an undo), or raises `Refused`.

    In a batch each command runs in a savepoint of its own.
    """
    return lambda function: register_handler(Handler(command, local=one_by_one(function)))


def one_by_one(function: Callable[..., Reply | None]) -> LocalStep:
    @wraps(function)
    def handle(commands: Sequence[Any], contexts: Sequence[StepContext] = ()) -> list[Reply | Refused | None]:
        outcomes: list[Reply | Refused | None] = []
        for arguments in pair_with_contexts(function, commands, contexts):
            try:
                with transaction.atomic():
                    outcomes.append(function(*arguments))
            except Refused as refusal:
                outcomes.append(refusal)
        return outcomes

    return handle


def pair_with_contexts(
    function: Callable[..., Any], commands: Sequence[Any], contexts: Sequence[StepContext]
) -> Iterable[tuple[Any, ...]]:
    """Return the arguments of each call of a function that takes one command, and its context if it wants to."""
    return zip(commands, contexts, strict=True) if takes_context(function) else zip(commands)


class OneByOne(OutsideStep):
    """Base of an outside step that handles requests and answers one at a time: `request` and `settle_one`."""

    def request(self, command: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Return the full request, from the command and our own rows; a second parameter gets its `StepContext`."""
        raise NotImplementedError

    def look_up(self, key: UUID, request: dict[str, Any]) -> dict[str, Any] | None:
        return None

    def settle_one(self, request: dict[str, Any], answer: dict[str, Any]) -> Reply | None:
        """Write the answer into our own rows and return the reply (None for an undo)."""
        raise NotImplementedError

    def requests(
        self, commands: Sequence[Any], contexts: Sequence[StepContext] = (), *args: Any, **kwargs: Any
    ) -> list[dict[str, Any]]:
        return [self.request(*each) for each in pair_with_contexts(self.request, commands, contexts)]

    def settle(self, answered: Answered) -> list[Reply | None]:
        return [self.settle_one(request, answer) for request, answer in answered]


def handles_outside(command: type[Command]) -> Callable[[type[OutsideStep]], type[OutsideStep]]:
    """Register an `OutsideStep` as the handler of `command`, for effects at a provider."""

    def decorate(cls: type[OutsideStep]) -> type[OutsideStep]:
        register_handler(Handler(command, outside=cls()))
        return cls

    return decorate


def load_handlers() -> FindHandler:
    """Import the tasks, which register the handlers, in a process that is not a worker; return the look-up by name.

    The lock makes the other threads of a web process wait for the first import.
    """
    with importing:
        current_app.loader.import_default_modules()
    return registry.get


def register_handler(handler: Handler) -> Task:
    name = handler.command.wire_name()
    if name in registry:
        raise DefinitionError(f"{name} has two handlers; a command has one")
    registry[name] = handler
    register_fence(settings.SERVICE)

    def carry_out(operation: str, steps: Sequence[StepRequest]) -> list[Outcome]:
        if operation == "undo":
            return undo_actions(handler, steps, registry.get)
        return run_actions(handler, steps)

    def handle(deliveries: Sequence[Delivery[StepMessage]]) -> list[Outcome]:
        return run_deduplicated(deliveries, lambda delivery: decode_step(handler, delivery), carry_out)

    def find_step(delivery: Delivery[StepMessage]) -> AskedStep:
        message = delivery.message
        return AskedStep(saga=message.saga, command=name, operation=message.operation, step=message.step)

    work = make_link(message=StepMessage, handle=handle, find_step=find_step, on_exhausted=announce_giving_up)
    return durable_task(name, work, throws=(Refused, StepSuperseded))


def register_fence(service: str) -> None:
    """Register `SERVICE.fence` once; it makes certain whether pivots of this participant ran (rule 13, the fence)."""
    if service in fenced:
        return
    fenced.add(service)

    def handle(deliveries: Sequence[Delivery[FenceMessage]]) -> list[Outcome]:
        (pivot, *others) = {delivery.message.pivot for delivery in deliveries}
        if others or pivot not in registry:
            raise DefinitionError(f"{service} was asked to fence {pivot}, which it does not handle")
        return run_deduplicated(
            deliveries,
            lambda d: Fence(
                d.message.saga,
                d.message.step,
                "do",
                d.message.subject,
                known_done=d.message.known == KNOWN_DONE,
            ),
            lambda _, messages: fence_pivots(messages, pivot, registry.get),
        )

    def find_step(delivery: Delivery[FenceMessage]) -> AskedStep:
        message = delivery.message
        return AskedStep(
            saga=message.saga, command=message.pivot, operation=message.operation, step=message.step
        )

    durable_task(f"{service}.fence", make_link(message=FenceMessage, handle=handle, find_step=find_step))


def make_link(**more: Any) -> Work:
    """What every link that the orchestrator sends a participant has in common."""
    return Work(
        sender="orchestrator",
        chained=True,
        conclude=conclude_step,
        note_try=note_try,
        exhausted="errback",
        **more,
    )


def run_deduplicated(
    deliveries: Sequence[Delivery[Any]], step: Callable[[Delivery[Any]], S], carry_out: CarryOut[S]
) -> list[Outcome]:
    """Carry out the steps of one operation together; a twin in the same batch waits for the next round."""
    steps = {id(delivery): step(delivery) for delivery in deliveries}
    outcomes = settle_lost(steps)
    sound = [each for each in steps.items() if each[0] not in outcomes]
    old = [each for each in sound if retention.is_too_old(each[1].saga)]
    if not old:
        outcomes |= run_parts(sound, carry_out)
    else:
        young = [each for each in sound if each not in old]
        outcomes |= run_parts(young, carry_out) | run_old(old, carry_out)
    return [outcomes[id(delivery)] for delivery in deliveries]


def run_parts(steps: Sequence[NumberedStep[S]], carry_out: CarryOut[S]) -> dict[int, Outcome]:
    outcomes: dict[int, Outcome] = {}
    for part in split_unique(steps, lambda each: each[1].key):
        for operation, group in group_by(lambda each: each[1].operation, part).items():
            ended = carry_out_or_report(partial(carry_out, operation), [each for _, each in group])
            outcomes |= zip((number for number, _ in group), ended, strict=True)
    return outcomes


def run_old(steps: Sequence[NumberedStep[S]], carry_out: CarryOut[S]) -> dict[int, Outcome]:
    """Carry out steps of sagas that are so old that their barrier rows may have been deleted.

    A step with a row is carried out in the transaction that locks the row: retention cannot delete it meanwhile. A step
    without one is carried out if its saga is open, whose rows are never deleted; so it never came before.
    """
    with transaction.atomic():
        known = store.lock_rows([step.key for _, step in steps])
        outcomes = run_parts([each for each in steps if each[1].key in known], carry_out)
    missing = [each for each in steps if each[1].key not in known]
    if not missing:
        return outcomes
    try:
        still_open = retention.ask_orchestrator({step.saga for _, step in missing}).open
    except (OutcomeUnknown, CallFailed) as error:
        away = ServiceUnavailable(f"it is not known whether the saga is open: {error}")
        return outcomes | dict.fromkeys((number for number, _ in missing), away)
    expired = {number: reject_expired(step) for number, step in missing if step.saga not in still_open}
    return outcomes | expired | run_parts([each for each in missing if each[0] not in expired], carry_out)


def settle_lost(steps: Mapping[int, StepRequest]) -> dict[int, Outcome]:
    """Return the outcomes of the steps whose missing barrier row does not mean that they never ran, by number.

    One that is known to be done was lost when the database was set back (rule 7, the undo): it is reported. While a
    restored database is recovered, no missing row of an older saga proves anything: its undos and fences wait.
    """
    recovery = epochs.find_recovery()
    doubtful = {
        number: each
        for number, each in steps.items()
        if each.known_done or (recovery and each.needs_a_row and began_before(each.saga, recovery))
    }
    if not doubtful:
        return {}
    there = store.known_keys(each.key for each in doubtful.values())
    return {
        number: report_lost(
            each, StepLost(f"{each.name} was done, and {settings.SERVICE} has no barrier row of it")
        )
        for number, each in doubtful.items()
        if each.key not in there
    }


def began_before(saga: UUID, moment: datetime) -> bool:
    began = uuid7_time(saga)
    return began is None or began < moment


def carry_out_or_report(
    carry_out: Callable[[Sequence[S]], list[Outcome]], steps: Sequence[S]
) -> list[Outcome]:
    """Carry out steps; report a single one that builds on what is lost. Several are tried again one by one."""
    try:
        return carry_out(steps)
    except StepLost as error:
        if len(steps) > 1:
            raise
        return [report_lost(steps[0], error)]


def report_lost(step: StepRequest, error: StepLost) -> Outcome:
    """Tell the orchestrator, or wait for `recover`. No barrier row is written: it would say that the step never ran."""
    if epochs.find_recovery():
        return ServiceUnavailable(f"{error}; it waits until `recover` is done")
    log.error("lost: the database was set back", **step.log_ids, reason=str(error))
    with structlog.contextvars.bound_contextvars(event="report of a lost step"), transaction.atomic():
        step.report_lost(error)
    return ReportedLost(str(error))


def reject_expired(step: StepRequest) -> Reject:
    """Reject a step whose barrier row is missing and may have been deleted: it may have been carried out."""
    fault = f"saga {step.saga} began more than {settings.SAGA_RETENTION_DAYS:g} days ago, and is not open"
    log.error("to the dead letters", fault=fault, **step.log_ids)
    return Reject(fault, requeue=False)


def decode_step(handler: Handler, delivery: Delivery[StepMessage]) -> StepRequest:
    """
    Raises:
        msgspec.ValidationError: the command, or a reply that it needs, is missing; another try would not help.
    """
    message = delivery.message
    command = fill_command(handler.command, message.command, message.needs or {}, delivery.replies)
    known_done = message.known == KNOWN_DONE
    return StepRequest(
        message.saga,
        message.step,
        message.operation,
        command.subject,
        command,
        known_done=known_done,
        origin=delivery.origin,
        number=delivery.request.retries + 1,
    )


def conclude_step(delivery: Delivery[Any], outcome: Outcome) -> Outcome:
    """Time and log the step, and add its reply (in a stop chain its refusal) and our word to those before it."""
    message = delivery.message
    measure_step(
        structlog.contextvars.get_contextvars()["task"],
        delivery,
        outcome,
        saga=str(message.saga),
        step=message.step,
        operation=message.operation,
        order=message.subject,
        attempt=message.attempt,
    )
    if isinstance(outcome, Exception):
        return outcome
    is_action = message.operation == "do"
    brought = {message.step: outcome} if is_action else outcome
    return delivery.replies | brought | give_word(delivery, "done" if is_action else "undone", brought)


def give_word(delivery: Delivery[Any], outcome: str, brought: Mapping[str, Any]) -> dict[str, Any]:
    """Return the words of the chain's participants with our own about this step (rule 29, authenticity)."""
    message = delivery.message
    words = settings.MESSAGE_KEYS.sign_outcome(
        settings.SERVICE,
        str(message.saga),
        message.step,
        message.operation,
        outcome,
        brought.get(message.step),
    )
    return {WORDS: read_words(delivery.replies) | words} if words else {}


def measure_step(task: str, delivery: Delivery[Any], outcome: Outcome, **about: Any) -> None:
    """Record the time of a step, and log its outcome."""
    how, detail = describe_outcome(outcome)
    seconds = time.perf_counter() - delivery.began
    metrics.STEP_SECONDS.labels(task, how).observe(seconds)
    log.info(
        how, **delivery.log_ids | about, ms=round(seconds * 1000, 1), **({"detail": detail} if detail else {})
    )


@metrics.prepare_at_start
def prepare_metrics() -> None:
    tasks = [handler.command.wire_name() for handler in registry.values()]
    metrics.prepare_labels(metrics.STEP_SECONDS, tasks, OUTCOMES)


def describe_outcome(outcome: Outcome) -> tuple[str, str]:
    match outcome:
        case Refused():
            return "refused", str(outcome)
        case ReportedLost():
            return "lost", str(outcome)
        case StepSuperseded():
            return "outlived", ""
        case HeldBack():
            return "held", str(outcome)
        case Ignore():
            return "pivot ran", ""
        case Exception():
            return "failed", repr(outcome)
    return "done", ""


def note_try(delivery: Delivery[Any], failed: FailedTry) -> None:
    """Write a failed try down and announce it."""
    message = delivery.message
    step = StepRequest(message.saga, message.step, message.operation, message.subject)
    failed_tries.note_try(step, failed, drive=message.attempt)


def announce_giving_up(delivery: Delivery[StepMessage], error: Exception) -> None:
    """Announce why a step failed; the errback itself carries no reason."""
    message = delivery.message
    step = StepRequest(message.saga, message.step, message.operation, message.subject)
    writing.add_events(
        step.build_announcements(describe_giving_up(error, delivery.request.retries + 1), "failed")
    )


def describe_giving_up(error: Exception, tries: int) -> StepGaveUp:
    code, reason = failed_tries.describe_error(error)
    return StepGaveUp(code=code, reason=reason, tries=tries)
