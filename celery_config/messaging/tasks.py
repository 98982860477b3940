"""Durable tasks take batches; an unexpected error is tried again from the outbox (rule 10, locks and retries)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal
from uuid import UUID

import msgspec
import structlog
from celery import Task, shared_task
from celery.app.task import Context
from celery.exceptions import Ignore, Reject
from django.conf import settings
from django.db import DataError, transaction
from django.db import Error as DatabaseFailure

from celery_config.broker import topology
from celery_config.common.correlation import copy_headers
from celery_config.contracts.base import decode
from celery_config.errors import Forged, HandlerExited, ServiceUnavailable, show_error
from celery_config.failpoints.points import Point, reach
from celery_config.messaging import database_gate, trouble, under_way
from celery_config.messaging.deliveries import (
    Call,
    Delivery,
    FailedTry,
    HeldBack,
    Outcome,
    TriedLater,
    is_failure,
)
from celery_config.messaging.holds.hold_list import read_holds
from celery_config.messaging.holds.targets import AskedStep, KnownHold, find_hold
from celery_config.messaging.outbox import writing

log = structlog.get_logger(__name__)
LONGEST_SHOWN = 1000
Handle = Callable[[Sequence[Delivery[Any]]], list[Outcome]]
Sender = Literal["", "orchestrator", "participant"]
DeliveryOutcomes = list[tuple[Delivery[Any], Outcome]]
HeldStep = tuple[KnownHold, AskedStep]


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a task does."""

    message: type[Any]
    """The type of its keyword arguments; a message that does not decode goes to the dead letters at once."""
    handle: Handle
    """Returns the outcomes of the messages, in their order."""
    sender: Sender = ""
    """Who must have made the message (rule 29, authenticity): the orchestrator, or the service that it names; or the
    broker's rights decide."""
    exhausted: Literal["errback", "dead letter"]
    """What follows the last failed try: the errback fires, or the message goes to the dead letters."""
    chained: bool = False
    """Whether it gets the replies of the links before it."""
    find_step: Callable[[Delivery[Any]], AskedStep | None] | None = None
    """Names the step that a message asks for, which an operator may hold; None: the task cannot be held."""
    conclude: Callable[[Delivery[Any], Outcome], Outcome] = lambda _, outcome: outcome
    """Turns an outcome that `handle` returned into the one that Celery sees."""
    note_try: Callable[[Delivery[Any], FailedTry], None] | None = None
    """Writes a failed try down, in the transaction that promises the next one or gives up."""
    on_exhausted: Callable[[Delivery[Any], Exception], Outcome] | None = None
    """Called first after the last failed try, in a transaction of its own; a returned outcome replaces the error."""

    def read_message(self, task: str, kwargs: dict[str, Any], replies: Mapping[str, Any]) -> Any:
        """Return the message that a task's keyword arguments are.

        Args:
            replies: of the links before it.

        Raises:
            Forged: they do not come from their sender, or come before their turn.
            msgspec.ValidationError: they do not fit this task.
        """
        message = decode(self.message, kwargs)
        if self.sender == "orchestrator":
            settings.MESSAGE_KEYS.check_message(settings.SERVICE, task, kwargs)
            settings.MESSAGE_KEYS.check_turn(kwargs, replies)
        elif self.sender == "participant":
            settings.MESSAGE_KEYS.check_message(message.service, task, kwargs)
        return message


class DurableTask(Task):
    """A task whose unexpected errors are tried again from the outbox, with its chain and errbacks."""

    abstract = True
    work: ClassVar[Work]

    def run_alone(self) -> Any:
        """Carry out the message that Celery itself delivered: a batch of one, its calls made in this thread."""
        ((delivery, outcome),) = self.carry_out([self.request])
        while isinstance(outcome, Call):
            ((_, outcome),) = self.finish_calls([(delivery, outcome, outcome.answer())])
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def carry_out(self, requests: Sequence[Context]) -> DeliveryOutcomes:
        """Return the outcome of each message, or the call that decides it."""
        self.bind_log_context()
        ended: DeliveryOutcomes = []
        ready: list[Delivery[Any]] = []
        for request in requests:
            reach(Point.DELIVERED)
            try:
                ready.append(self.decode_delivery(request))
            except (Forged, msgspec.ValidationError) as error:
                ended.append((Delivery(request, None), reject_for_good(error)))
        held = self.find_held(ready)
        if held:
            ended += self.attempt([d for d in ready if id(d) in held], partial(self.hold_back, held))
        return ended + self.attempt([d for d in ready if id(d) not in held], self.work.handle)

    def find_held(self, deliveries: Sequence[Delivery[Any]]) -> dict[int, HeldStep]:
        """Return hold and step of each message that is held, by the identity of its delivery (rule 30, holds)."""
        name = self.work.find_step
        if name is None or not (holds := read_holds()):
            return {}
        steps = {id(delivery): name(delivery) for delivery in deliveries}
        if not any(find_hold(holds, step) for step in steps.values()):
            return {}
        holds = read_holds(afresh=True)
        return {
            number: (hold, step)
            for number, step in steps.items()
            if step and (hold := find_hold(holds, step))
        }

    def hold_back(self, held: Mapping[int, HeldStep], deliveries: Sequence[Delivery[Any]]) -> list[Outcome]:
        """Move messages to the outbox until they are let go; it is no try. Nothing is held unacknowledged."""
        found = [(*held[id(each)], each.request) for each in deliveries]
        writing.hold_tasks(
            (hold.id, step.saga, step.key, retry_message(self.name, request, request.retries))
            for hold, step, request in found
        )
        return [HeldBack(f"{hold.label} is held") for hold, _, _ in found]

    def find_saga(self, request: Context) -> UUID | None:
        saga = request.kwargs.get("saga")
        return UUID(saga) if saga else None

    def finish_calls(self, answered: Sequence[tuple[Delivery[Any], Call, Any]]) -> DeliveryOutcomes:
        """Return the outcomes of messages whose calls, all of one kind, were answered."""
        self.bind_log_context()
        known = {id(delivery): (call, answer) for delivery, call, answer in answered}

        def finish(deliveries: Sequence[Delivery[Any]]) -> list[Outcome]:
            pairs = [known[id(delivery)] for delivery in deliveries]
            return pairs[0][0].finish([(call.about, answer) for call, answer in pairs])

        failed = [(d, self.decide_outcome(d, answer)) for d, _, answer in answered if is_failure(answer)]
        return failed + self.attempt([d for d, _, answer in answered if not is_failure(answer)], finish)

    def bind_log_context(self) -> None:
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(task=self.name)

    def decode_delivery(self, request: Context) -> Delivery[Any]:
        """Return the message as its handler sees it.

        Raises:
            Forged, msgspec.ValidationError: the message is not for this task.
        """
        replies: list[dict[str, Any]] = decode(list[dict[str, Any]], request.args)
        if len(replies) != self.work.chained:
            raise msgspec.ValidationError(f"{self.name} takes {int(self.work.chained)} positional arguments")
        before = replies[0] if replies else {}
        return Delivery(request, self.work.read_message(self.name, request.kwargs, before), before)

    def attempt(self, deliveries: Sequence[Delivery[Any]], work: Handle) -> DeliveryOutcomes:
        """Handle all together; where that fails, each alone, so that one message does not spoil the others."""
        if not deliveries:
            return []
        try:
            with under_way.noted(self.name, deliveries):
                outcomes = work(deliveries)
        except (
            BaseException
        ) as error:  # `SystemExit` would end the thread, and leave a worker that does nothing
            if len(deliveries) > 1:
                database_gate.drop_if_unusable()
                return [ended for delivery in deliveries for ended in self.attempt([delivery], work)]
            outcomes = [error if isinstance(error, Exception) else HandlerExited(show_error(error))]
        return [(d, self.decide_outcome(d, o)) for d, o in zip(deliveries, outcomes, strict=True)]

    def decide_outcome(self, delivery: Delivery[Any], outcome: Outcome) -> Outcome:
        """Turn an error into another try, a dead letter or an errback; let the handler's task conclude a value."""
        if isinstance(outcome, Call):
            return outcome
        if not isinstance(outcome, Exception):
            outcome = self.work.conclude(delivery, outcome)
            reach(Point.NEXT_UNPUBLISHED)
            return outcome
        with structlog.contextvars.bound_contextvars(**delivery.log_ids):
            self.work.conclude(delivery, outcome)
            return self.decide_failure(delivery, outcome)

    def decide_failure(self, delivery: Delivery[Any], outcome: Exception) -> Outcome:
        if isinstance(outcome, (Ignore, Reject)):
            return outcome
        if not isinstance(outcome, self.throws):
            if isinstance(outcome, msgspec.ValidationError):
                return reject_for_good(outcome)
            database_gate.close_if_away(outcome)
            if database_gate.database_away.is_set():  # does not count as a try
                return Reject(outcome, requeue=True)
            trouble.note_failure(outcome)
            if isinstance(outcome, ServiceUnavailable) or trouble.is_conflict(outcome):  # do not count either
                return self.wait_and_retry(delivery, outcome)
            if later := self.try_later(delivery, outcome):
                return later
            log.error("gave up", tries=delivery.request.retries + 1, exc_info=outcome)
            if (instead := self.give_up(delivery, outcome)) is not None:
                return instead
            if self.work.exhausted == "dead letter":
                return Reject(outcome, requeue=False)
        reach(Point.ERRBACK_PENDING)
        return outcome

    def wait_and_retry(self, delivery: Delivery[Any], error: Exception) -> Ignore | Reject:
        """Promise the message again after a wait that is no try; a conflict is not written down, it is soon over."""
        wait = max(settings.TIMES.away, getattr(error, "wait", 0.0))
        failed = FailedTry(error, delivery.request.retries + 1, wait, is_counted=False)
        return self.postpone(delivery, wait, failed=failed if isinstance(error, ServiceUnavailable) else None)

    def give_up(self, delivery: Delivery[Any], error: Exception) -> Outcome:
        """Let the task say so; return the outcome that replaces the error, if there is one."""
        if not self.work.on_exhausted and not self.work.note_try:
            return None
        with transaction.atomic():
            self.note_try(delivery, FailedTry(error, delivery.request.retries + 1))
            return self.work.on_exhausted(delivery, error) if self.work.on_exhausted else None

    def note_try(self, delivery: Delivery[Any], failed: FailedTry) -> None:
        """Let the task write a failed try down; that is for people, so that an error in it harms no message."""
        if self.work.note_try is None:
            return
        try:
            with transaction.atomic():
                self.work.note_try(delivery, failed)
        except Exception:
            log.exception("a failed try could not be written down")

    def try_later(self, delivery: Delivery[Any], error: Exception) -> Ignore | Reject | None:
        """Promise the message again after a wait; return None when its tries are used up."""
        delay = settings.TIMES.retry_delay(delivery.request.retries)
        if delay is None:
            return None
        tries = delivery.request.retries + 1
        outcome = self.postpone(delivery, delay, retries=tries, failed=FailedTry(error, tries, delay))
        if isinstance(outcome, TriedLater):
            log.warning(
                "failed, tried again later", error=show_error(error), tries=tries, wait_s=round(delay, 2)
            )
        return outcome

    def postpone(
        self,
        delivery: Delivery[Any],
        seconds: float,
        *,
        retries: int | None = None,
        failed: FailedTry | None = None,
    ) -> Ignore | Reject:
        """Promise the message again after a wait, and write down in the same transaction which try failed.

        While the database is away nothing can be promised, and the message goes back to the broker. A message that the
        database cannot store goes to the dead letters.
        """
        request = delivery.request
        try:
            with transaction.atomic():
                message = retry_message(self.name, request, request.retries if retries is None else retries)
                writing.add_task(message, saga=self.find_saga(request), delay=seconds)
                if failed:
                    self.note_try(delivery, failed)
        except (DataError, ValueError) as failure:
            return reject_for_good(failure)
        except DatabaseFailure as failure:
            database_gate.close()
            log.error("database away; the message goes back to the broker", error=str(failure))
            return Reject(failure, requeue=True)
        return TriedLater(f"again in {seconds:.1f} s")


def durable_task(
    name: str, work: Work, *, throws: tuple[type[Exception], ...] = (), send_events: bool = True
) -> Task:
    """Register the task `name`.

    Args:
        throws: decided outcomes, which fire the errback as they are.
        send_events: whether Flower sees each run.
    """

    def run(task: DurableTask, *args: Any, **kwargs: Any) -> Any:
        return task.run_alone()

    # `bind` also makes Celery publish these as errbacks instead of running them inline (rule 3, the errback).
    options = {"bind": True, "throws": throws, "send_events": send_events, "work": work}
    return shared_task(name=name, base=DurableTask, **options)(run)


def reject_for_good(error: Exception) -> Reject:
    """A message that does not decode or cannot be stored now never will."""
    log.error("to the dead letters", fault=str(error))
    return Reject(error, requeue=False)


def retry_message(name: str, request: Context, retries: int) -> dict[str, Any]:
    """The outbox payload of a message's next try: the same id, chain, errbacks and urgency."""
    urgent = topology.is_urgent(request.delivery_info)
    return {
        "task": name,
        "args": list(request.args),
        "kwargs": request.kwargs,
        "options": {
            "task_id": request.id,
            "root_id": request.root_id,
            "parent_id": request.parent_id,
            "chain": request.chain,
            "link_error": request.errbacks,
            "retries": retries,
            **copy_headers(request),
            # Headers must fit into one frame.
            "argsrepr": (getattr(request, "argsrepr", None) or "")[:LONGEST_SHOWN],
            "kwargsrepr": (getattr(request, "kwargsrepr", None) or "")[:LONGEST_SHOWN],
            **topology.route_task(settings.SERVICE, name, urgent=urgent),
        },
    }
