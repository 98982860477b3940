"""The one kind of Celery task used here: it takes batches, and its transient errors go to the outbox (rule 10)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
from celery_config.broker.headers import NOT_BEFORE, seconds_until
from celery_config.contracts.base import decode
from celery_config.errors import ServiceUnavailable
from celery_config.failpoints.points import Point, reach
from celery_config.messaging import database_gate
from celery_config.messaging.deliveries import Call, Delivery, Outcome, TriedLater, is_failure
from celery_config.messaging.outbox import writing

log = structlog.get_logger(__name__)
LONGEST_SHOWN = 1000
Handle = Callable[[Sequence[Delivery[Any]]], list[Outcome]]
DeliveryOutcomes = list[tuple[Delivery[Any], Outcome]]


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a task does."""

    message: type[Any]
    """What its keyword arguments are decoded as; what cannot be is rejected to the dead letters at once."""
    handle: Handle
    """Returns the outcomes of some messages, in their order."""
    exhausted: Literal["errback", "dead letter"]
    """What becomes of an error after the last try: its errback fires, or its message goes to the dead letters."""
    chained: bool = False
    """Whether it gets the replies of the links before it."""
    conclude: Callable[[Delivery[Any], Outcome], Outcome] = lambda _, outcome: outcome
    """Turns what `handle` returned for a message into the outcome that Celery sees."""
    on_exhausted: Callable[[Delivery[Any], Exception], Outcome] | None = None
    """Called before either end, in a transaction of its own; what it returns, if anything, is the end instead."""


class DurableTask(Task):
    """A task whose unexpected errors are tried again from the outbox, with its chain and errbacks."""

    abstract = True
    work: ClassVar[Work]

    def alone(self) -> Any:
        """Carry out the message that Celery itself delivered: a batch of one, its calls made in this thread."""
        ((delivery, outcome),) = self.carry_out([self.request])
        while isinstance(outcome, Call):
            ((_, outcome),) = self.settle([(delivery, outcome, outcome.answer())])
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def carry_out(self, requests: Sequence[Context]) -> DeliveryOutcomes:
        """Return what became of each message, or the call that decides it."""
        self.name_log_lines()
        ended: DeliveryOutcomes = []
        understood: list[Delivery[Any]] = []
        for request in requests:
            reach(Point.DELIVERED)
            try:
                delivery = self.delivery(request)
            except msgspec.ValidationError as error:
                ended.append((Delivery(request, None), reject_malformed(error)))
                continue
            eta = request.get(NOT_BEFORE)
            if eta and (wait := seconds_until(eta)) > 0:
                ended.append((delivery, self.postpone(request, wait)))
            else:
                understood.append(delivery)
        return ended + self.attempt(understood, self.work.handle)

    def settle(self, answered: Sequence[tuple[Delivery[Any], Call, Any]]) -> DeliveryOutcomes:
        """Return what became of messages whose calls were answered; the calls are of one kind."""
        self.name_log_lines()
        known = {id(delivery): (call, answer) for delivery, call, answer in answered}

        def settle_calls(deliveries: Sequence[Delivery[Any]]) -> list[Outcome]:
            pairs = [known[id(delivery)] for delivery in deliveries]
            return pairs[0][0].settle([(call.about, answer) for call, answer in pairs])

        failed = [(d, self.decided(d, answer)) for d, _, answer in answered if is_failure(answer)]
        return failed + self.attempt([d for d, _, answer in answered if not is_failure(answer)], settle_calls)

    def name_log_lines(self) -> None:
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(task=self.name)

    def delivery(self, request: Context) -> Delivery[Any]:
        """The message as its handler sees it.

        Raises:
            msgspec.ValidationError: it is not what this task takes.
        """
        replies: list[dict[str, Any]] = decode(list[dict[str, Any]], request.args)
        if len(replies) != self.work.chained:
            raise msgspec.ValidationError(f"{self.name} takes {int(self.work.chained)} positional arguments")
        message = decode(self.work.message, request.kwargs)
        return Delivery(request, message, replies[0] if replies else {})

    def attempt(self, deliveries: Sequence[Delivery[Any]], work: Handle) -> DeliveryOutcomes:
        """All together; where that fails, each alone, so that one does not spoil the others."""
        if not deliveries:
            return []
        try:
            outcomes = work(deliveries)
        except Exception as error:
            if len(deliveries) > 1:
                database_gate.drop_if_unusable()
                return [ended for delivery in deliveries for ended in self.attempt([delivery], work)]
            outcomes = [error]
        return [(d, self.decided(d, o)) for d, o in zip(deliveries, outcomes, strict=True)]

    def decided(self, delivery: Delivery[Any], outcome: Outcome) -> Outcome:
        """An error becomes another try, a dead letter or an errback; all else is decided already."""
        if isinstance(outcome, Call):
            return outcome
        if not isinstance(outcome, Exception):
            outcome = self.work.conclude(delivery, outcome)
            reach(Point.NEXT_UNPUBLISHED)
            return outcome
        self.work.conclude(delivery, outcome)
        if isinstance(outcome, (Ignore, Reject)):
            return outcome
        if not isinstance(outcome, self.throws):
            if isinstance(outcome, msgspec.ValidationError):
                return reject_malformed(outcome)
            database_gate.close_if_away(outcome)
            if database_gate.database_away.is_set():  # which is no try
                return Reject(outcome, requeue=True)
            if isinstance(outcome, ServiceUnavailable):  # which is none either
                return self.postpone(delivery.request, settings.TIMES.away)
            if later := self.try_later(delivery, outcome):
                return later
            log.error("gave up", tries=delivery.request.retries + 1, exc_info=outcome)
            if self.work.on_exhausted:
                with transaction.atomic():
                    instead = self.work.on_exhausted(delivery, outcome)
                if instead is not None:
                    return instead
            if self.work.exhausted == "dead letter":
                return Reject(outcome, requeue=False)
        reach(Point.ERRBACK_PENDING)
        return outcome

    def try_later(self, delivery: Delivery[Any], error: Exception) -> Ignore | Reject | None:
        """Promise the message again after a wait; None when its tries are used up.

        While the database is away nothing can be promised, and the message goes back to the broker.
        """
        delay = settings.TIMES.retry_delay(delivery.request.retries)
        if delay is None:
            return None
        tries = delivery.request.retries + 1
        outcome = self.postpone(delivery.request, delay, retries=tries)
        if isinstance(outcome, TriedLater):
            log.warning("failed, tried again later", error=repr(error), tries=tries, wait_s=round(delay, 2))
        return outcome

    def postpone(self, request: Context, seconds: float, *, retries: int | None = None) -> Ignore | Reject:
        """Promise the message again after a wait; without a database it goes back to the broker.

        What the database cannot store at all goes to the dead letters.
        """
        saga = request.kwargs.get("saga")
        try:
            with transaction.atomic():
                message = retry_message(self.name, request, request.retries if retries is None else retries)
                writing.add_task(message, saga=UUID(saga) if saga else None, delay=seconds)
        except (DataError, ValueError) as failure:
            log.error("to the dead letters", fault=str(failure))
            return Reject(failure, requeue=False)
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
        send_events: whether Flower hears of each run.
    """

    def run(task: DurableTask, *args: Any, **kwargs: Any) -> Any:
        return task.alone()

    # `bind` also makes Celery publish these as errbacks instead of running them inline (rule 3).
    options = {"bind": True, "throws": throws, "send_events": send_events, "work": work}
    return shared_task(name=name, base=DurableTask, **options)(run)


def reject_malformed(error: msgspec.ValidationError) -> Reject:
    """It will not be understood the next time either."""
    log.error("to the dead letters", fault=str(error))
    return Reject(error, requeue=False)


def retry_message(name: str, request: Context, retries: int) -> dict[str, Any]:
    """The message in hand as an outbox payload for its next try; same id, chain and errbacks."""
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
            # Headers must fit into one frame, whoever wrote them.
            "argsrepr": (getattr(request, "argsrepr", None) or "")[:LONGEST_SHOWN],
            "kwargsrepr": (getattr(request, "kwargsrepr", None) or "")[:LONGEST_SHOWN],
            **topology.commands_to(settings.SERVICE),
        },
    }
