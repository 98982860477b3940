"""Batches: the fast path of our tasks in Celery's worker, with the crash guarantees of single messages.

Celery's own strategy receives each message as usual (ETA, expiry, revocation, events) and hands it to this runner
instead of its pool. One thread takes all that waits, up to `MAX_MESSAGES`: each task carries out its part in one
transaction, all links that follow are published together and confirmed once, and then everything is acknowledged. A
message that waits alone runs at once, so low load loses nothing; while a batch waits for the disk and the broker, the
next one gathers.

What is urgent (rule 28, routing) comes first in every batch, and calls in threads of its own: it never waits behind the
new work that has been taken before it.

Calls to the outside run in threads of their own, and their answers join the next batch: up to `MAX_CALLS` slow calls
delay no other message. After a crash between commit and acknowledgement the messages come again, find their barrier
rows, and their next links go out again under the same task ids.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Union

import structlog
from celery.app.task import Context
from celery.exceptions import Ignore, Reject
from celery.worker import state
from celery.worker.request import Request
from django.conf import settings
from django.db import transaction

from celery_config.broker import topology
from celery_config.broker.incoming_headers import is_suspicious
from celery_config.broker.publisher import Publisher, broker_errors
from celery_config.common import tracing
from celery_config.common.correlation import HEADERS
from celery_config.common.grouping import group_by
from celery_config.errors import CodedError, HandlerExited, show_error
from celery_config.messaging import database_gate, under_way
from celery_config.messaging.database_gate import DATABASE_AWAY
from celery_config.messaging.deliveries import Call, Delivery, Outcome, TriedLater
from celery_config.messaging.event_envelopes import event_type
from celery_config.messaging.outbox import writing
from celery_config.messaging.tasks import DeliveryOutcomes, DurableTask
from celery_config.worker.continuations import Message, next_messages, strip_sender
from celery_config.worker.limits import MAX_CALLS, MAX_MESSAGES
from celery_config.worker.message_spans import end_message_span, get_span, trace_batch
from celery_config.worker.time_limit import end_process

log = structlog.get_logger(__name__)
PUBLISH_WAITS = (0.1, 0.5, 2.0)
READ_HEADERS = ("id", "root_id", "parent_id", "argsrepr", "kwargsrepr", *HEADERS)
"""Those that reach a task; `Headers` has checked them."""


@dataclass(frozen=True, eq=False)
class OutsideCall:
    """A message whose outcome depends on an answer from outside."""

    delivery: Delivery[Any]
    call: Call
    answer: Any = None


Item = Union[Request, OutsideCall]  # noqa: UP007 - Celery has no types: `|` would be no type for mypy


class BatchRunner:
    """Runs the batches of one worker in a thread.

    Args:
        consumer: Celery's consumer, which receives the messages.
    """

    def __init__(self, consumer: Any) -> None:
        self.callers = {
            urgent: ThreadPoolExecutor(MAX_CALLS, thread_name_prefix="urgent call" if urgent else "call")
            for urgent in (True, False)
        }
        self.publisher = Publisher(consumer.app, settings.TIMES.publish)
        self.broker_errors = broker_errors(consumer.app)
        self.urgent: deque[Item] = deque()
        self.inbox: deque[Item] = deque()
        self.arrived = threading.Condition()
        self.calls = 0
        self.stopping = self.finish_calls = False
        self.thread = threading.Thread(target=self.run, name="batches", daemon=True)

    def start(self) -> None:
        self.thread.start()

    def stop(self, *, finish_calls: bool) -> None:
        """Finish the current batch; the broker gets back what has not begun.

        Args:
            finish_calls: also wait for the answers of calls that are under way.
        """
        with self.arrived:
            self.stopping, self.finish_calls = True, finish_calls
            for line in (self.urgent, self.inbox):
                left = [item for item in line if finish_calls and isinstance(item, OutsideCall)]
                line.clear()
                line.extend(left)
            self.arrived.notify()
        self.thread.join()
        self.stop_callers()

    def stop_callers(self) -> None:
        for callers in self.callers.values():
            callers.shutdown(wait=False, cancel_futures=True)

    def add(self, request: Request) -> None:
        """Add a message; `wake` follows after the last of those that arrived together."""
        with self.arrived:
            if not self.stopping:
                self.choose_line(request).append(request)

    def add_answer(self, answered: OutsideCall) -> None:
        with self.arrived:
            self.calls -= 1
            if not self.stopping or self.finish_calls:
                self.choose_line(answered).append(answered)
            self.arrived.notify()

    def choose_line(self, item: Item) -> deque[Item]:
        return self.urgent if is_urgent(item) else self.inbox

    def wake(self) -> None:
        """Let the runner see that messages arrived or that the database gate moved."""
        with self.arrived:
            self.arrived.notify()

    def wait_for_gate(self) -> None:
        """While the database is away, wait until no more messages are consumed."""
        with self.arrived:
            self.arrived.wait_for(
                lambda: (
                    self.stopping
                    or not database_gate.database_away.is_set()
                    or database_gate.consumption_paused.is_set()
                )
            )

    def is_finished(self) -> bool:
        return self.stopping and not (self.finish_calls and self.calls)

    def run(self) -> None:
        try:
            while batch := self.take_batch():
                self.run_batch(batch)
            self.publisher.close()
        except BaseException:
            log.critical("the batches ended by an error, and with them the worker", exc_info=True)
            end_process()

    def take_batch(self) -> list[Item]:
        """Wait for messages and return all that are there, the urgent ones first; none when it is time to stop.

        A message that may be what killed a worker runs alone.
        """
        with self.arrived:
            self.arrived.wait_for(lambda: self.urgent or self.inbox or self.is_finished())
            batch: list[Item] = []
            while len(batch) < MAX_MESSAGES and (line := self.urgent or self.inbox):
                alone = may_kill(line[0])
                if batch and alone:
                    break
                batch.append(line.popleft())
                if alone:
                    break
            return batch

    def run_batch(self, batch: Sequence[Item]) -> None:
        """Run a batch; if it fails, run each message alone, so that one message does not spoil the others.

        A message that fails alone goes back to the broker if broker or database were away, and otherwise to the dead
        letters: it would come back at once, and spoil every batch until its deliveries are used up.
        """
        try:
            with trace_batch([get_request(item) for item in batch]):
                self.conclude(carry_out(batch))
        except BaseException as error:
            database_gate.close_if_away(error)
            # The broker still has what was not acknowledged, and the barrier knows what of it was done.
            left = [item for item in batch if not get_request(item).acknowledged]
            if len(batch) > 1 and not isinstance(error, self.broker_errors):
                log.exception("a batch failed; its messages run alone", messages=len(batch))
                for item in left:
                    self.run_batch([item])
                return
            away = isinstance(error, (*self.broker_errors, *DATABASE_AWAY))
            where = "back to the broker" if away else "to the dead letters"
            log.exception(f"failed; {where}", messages=len(batch))
            self.wait_for_gate()
            for item in left:
                finish_request(get_request(item), Reject("its batch failed", requeue=away), 0.0)

    def conclude(self, ended: DeliveryOutcomes) -> None:
        """Publish what follows, then acknowledge; the relay sends later what the broker does not take now."""
        final: DeliveryOutcomes = []
        for delivery, outcome in ended:
            if isinstance(outcome, Call):
                with self.arrived:
                    self.calls += 1
                waiting = OutsideCall(delivery, outcome)
                self.callers[is_urgent(waiting)].submit(make_call, self, waiting)
            else:
                final.append((delivery, outcome))
        # Each message that follows, with the number of the outcome that it follows from.
        following = [
            (number, message)
            for number, (delivery, outcome) in enumerate(final)
            for message in next_messages(task_name(delivery), delivery.request, outcome)
        ]
        taken = self.publish([message for _, message in following])
        unsent = [each for index, each in enumerate(following) if index not in taken]
        # Given back to the broker they would come again at once, and use up their deliveries.
        lost = leave_to_relay(unsent) if unsent else {}
        self.wait_for_gate()
        for number, (delivery, outcome) in enumerate(final):
            structlog.contextvars.bind_contextvars(
                task=task_name(delivery), event=event_type(delivery.message)
            )
            seconds = time.perf_counter() - delivery.began
            finish_request(delivery.request.received, lost.get(number, outcome), seconds)

    def publish(self, messages: list[Message]) -> set[int]:
        """Publish and return the indexes that the broker took; try again while its connection is lost."""
        for wait in (*PUBLISH_WAITS, None):
            try:
                return self.publisher.publish(messages) if messages else set()
            except self.broker_errors as error:
                if wait is None:
                    raise
                log.warning("publishing failed, tried again", error=repr(error), wait_s=wait)
                with self.arrived:
                    if self.arrived.wait_for(lambda: self.stopping, wait):
                        raise
        raise AssertionError("not reached")


def leave_to_relay(unsent: Sequence[tuple[int, Message]]) -> dict[int, Reject]:
    """Write to the outbox, in a transaction of its own, what could not be sent.

    Args:
        unsent: each message with the number of the outcome that it follows from.

    Returns:
        the outcomes of which nothing can follow: back to the broker if the database is away, else dead letters.
    """
    try:
        with transaction.atomic():
            writing.add_tasks((each["kwargs"].get("saga"), strip_sender(each)) for _, each in unsent)
    except Exception as error:
        database_gate.close_if_away(error)
        away = isinstance(error, DATABASE_AWAY)
        if len(unsent) > 1 and not away:  # one that cannot be stored does not spoil the others
            return {
                number: rejection for each in unsent for number, rejection in leave_to_relay([each]).items()
            }
        log.exception("what follows could be neither sent nor promised", messages=len(unsent))
        return {number: Reject("nothing can follow", requeue=away) for number, _ in unsent}
    log.warning("the broker did not take what follows; the relay sends it later", messages=len(unsent))
    return {}


def carry_out(batch: Sequence[Item]) -> DeliveryOutcomes:
    """Let each task carry out its part."""
    requests = [item for item in batch if isinstance(item, Request) and not item.revoked()]
    answered = [item for item in batch if isinstance(item, OutsideCall)]
    ended: DeliveryOutcomes = []
    for task, group in group_by(get_task, requests).items():
        ended += task.carry_out([make_context(request) for request in group])
    for (task, *_), calls in group_by(
        lambda each: (get_task(each), each.call.finish, each.call.kind), answered
    ).items():
        ended += task.finish_calls([(each.delivery, each.call, each.answer) for each in calls])
    return ended


def make_call(runner: BatchRunner, waiting: OutsideCall) -> None:
    """Make the call, in a thread of its own, and always give an answer: else the message is never acknowledged."""
    task = task_name(waiting.delivery)
    structlog.contextvars.bind_contextvars(task=task)
    try:
        noted = under_way.noted(task, [waiting.delivery], is_call=True)
        with noted, tracing.let_present(get_span(get_request(waiting))):
            answer = waiting.call.answer()
    except BaseException as error:
        answer = HandlerExited(show_error(error))
    runner.add_answer(replace(waiting, answer=answer))


def make_context(request: Request) -> Context:
    """Accept the request and return it as tasks see theirs, with what was checked and nothing else of it.

    Celery's own context has every header and everything that is embedded as an attribute. A sender writes there what he
    likes: a chain among the headers, which nothing checks, would be published with our rights.
    """
    request.on_accepted(os.getpid(), time.monotonic())
    headers = request.message.headers
    args, kwargs, embed = request.message.payload
    context = Context(
        {name: headers.get(name) for name in READ_HEADERS},
        args=args,
        kwargs=kwargs,
        chain=(embed or {}).get("chain"),
        errbacks=(embed or {}).get("errbacks"),
        retries=headers.get("retries") or 0,
        delivery_info=request.delivery_info,
        headers={},
    )
    context.received = request
    if span := get_span(request):
        context.traceparent = tracing.name_span(span)
    return context


def finish_request(request: Request, outcome: Outcome, seconds: float) -> None:
    """Report the outcome to the broker, Celery's worker and Flower."""
    failed = isinstance(outcome, Exception) and not isinstance(outcome, Ignore)
    end_message_span(request, outcome if failed else None)
    state.task_ready(request, successful=not isinstance(outcome, Exception))
    if isinstance(outcome, Reject):
        request.reject(requeue=outcome.requeue)
        return
    request.acknowledge()
    if isinstance(outcome, TriedLater):
        request.send_event("task-retried", exception=describe(outcome), traceback="")
    elif isinstance(outcome, Exception) and not isinstance(outcome, Ignore):
        request.send_event("task-failed", exception=describe(outcome), traceback="")
    else:
        request.send_event("task-succeeded", result=None, runtime=seconds)


def describe(error: Exception) -> str:
    """What Flower shows of an error: of one with a code no text, which may be a provider's."""
    return f"{type(error).__name__}: {error.code}" if isinstance(error, CodedError) else show_error(error)


def get_request(item: Item) -> Request:
    request: Request = item.delivery.request.received if isinstance(item, OutsideCall) else item
    return request


def get_task(item: Item) -> DurableTask:
    task: DurableTask = get_request(item).task
    return task


def task_name(delivery: Delivery[Any]) -> str:
    return str(delivery.request.received.task.name)


def is_urgent(item: Item) -> bool:
    return topology.is_urgent(get_request(item).message.delivery_info)


def may_kill(item: Item) -> bool:
    return isinstance(item, Request) and is_suspicious(item.message)
