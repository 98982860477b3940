"""Carries out what has arrived, many messages at a time: the fast path of our tasks in Celery's worker.

Celery's own strategy receives each message as ever (ETA, expiry, revocation, events); what it would hand to its pool
comes here. One thread takes all that waits, up to `MOST` messages: each task carries out its part in one transaction,
all links that follow are published together and confirmed once, then everything is acknowledged. One that waits alone
runs at once, so low load loses nothing; while a batch waits for the disk and the broker, the next one gathers.

Calls to the outside run in threads of their own meanwhile and join the next batch when they are answered: up to
`CALLS` slow ones hold up nobody else. Between commit and acknowledgement the crash semantics are those of single
messages: what comes again finds its barrier row, and its next link goes out again under the same task id.
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
from django.db import Error as DatabaseFailure
from django.db import transaction

from celery_config.broker.headers import is_suspicious
from celery_config.broker.publisher import Publisher, broker_errors
from celery_config.common.grouping import group_by
from celery_config.messaging import database_gate
from celery_config.messaging.deliveries import Call, Delivery, Outcome, TriedLater
from celery_config.messaging.event_envelopes import event_type
from celery_config.messaging.outbox import writing
from celery_config.messaging.tasks import DeliveryOutcomes, DurableTask
from celery_config.worker.continuations import Message, following, without_sender
from celery_config.worker.limits import CALLS, MOST

log = structlog.get_logger(__name__)
PUBLISH_WAITS = (0.1, 0.5, 2.0)


@dataclass(frozen=True, eq=False)
class Waiting:
    """A message whose outcome an answer from outside decides."""

    delivery: Delivery[Any]
    call: Call
    answer: Any = None


Item = Union[Request, Waiting]  # noqa: UP007 - Celery has no types: `|` would be no type for mypy


class Batches:
    """The runner of one worker.

    Args:
        consumer: Celery's, whose messages these are.
    """

    def __init__(self, consumer: Any) -> None:
        self.callers = ThreadPoolExecutor(CALLS, thread_name_prefix="call")
        self.publisher = Publisher(consumer.app, settings.TIMES.publish)
        self.broker_errors = broker_errors(consumer.app)
        self.inbox: deque[Item] = deque()
        self.arrived = threading.Condition()
        self.calls = 0
        self.stopping = self.finish_calls = False
        self.thread = threading.Thread(target=self.run, name="batches", daemon=True)

    def start(self) -> None:
        self.thread.start()

    def stop(self, *, finish_calls: bool) -> None:
        """Finish the batch in hand; what was not begun goes back to the broker.

        Args:
            finish_calls: wait for the answers of calls that are under way, too.
        """
        with self.arrived:
            self.stopping, self.finish_calls = True, finish_calls
            self.inbox = deque(item for item in self.inbox if finish_calls and isinstance(item, Waiting))
            self.arrived.notify()
        self.thread.join()
        self.callers.shutdown(wait=False, cancel_futures=True)

    def put(self, request: Request) -> None:
        """Add a message; the runner is told with the last of those that came together."""
        with self.arrived:
            if not self.stopping:
                self.inbox.append(request)

    def answer(self, waiting: Waiting) -> None:
        """Add what an answer decides."""
        with self.arrived:
            self.calls -= 1
            if not self.stopping or self.finish_calls:
                self.inbox.append(waiting)
            self.arrived.notify()

    def look_again(self) -> None:
        """Let the runner see that something came, or that the gate moved."""
        with self.arrived:
            self.arrived.notify()

    def wait_for_gate(self) -> None:
        """While the database is away, wait until nothing is consumed any more."""
        with self.arrived:
            self.arrived.wait_for(
                lambda: (
                    self.stopping
                    or not database_gate.database_away.is_set()
                    or database_gate.consumption_paused.is_set()
                )
            )

    def is_over(self) -> bool:
        return self.stopping and not (self.finish_calls and self.calls)

    def run(self) -> None:
        while taken := self.take():
            self.work_off(taken)
        self.publisher.close()

    def work_off(self, taken: Sequence[Item]) -> None:
        """What fails as a batch runs one by one, so that one message does not spoil the others."""
        try:
            self.conclude(carry_out(taken))
        except Exception as error:
            # What was not acknowledged the broker has still, and the barrier knows what of it was done.
            left = [item for item in taken if not request_of(item).acknowledged]
            if len(taken) > 1 and not isinstance(error, self.broker_errors):
                log.exception("a batch failed; its messages run alone", messages=len(taken))
                for item in left:
                    self.work_off([item])
                return
            log.exception("failed; back to the broker", messages=len(taken))
            self.wait_for_gate()
            for item in left:
                finish(request_of(item), Reject("its batch failed", requeue=True), 0.0)

    def take(self) -> list[Item]:
        """Wait for something and return all that is there; nothing when it is time to stop.

        A message that may be what killed a worker runs alone.
        """
        with self.arrived:
            self.arrived.wait_for(lambda: self.inbox or self.is_over())
            taken: list[Item] = []
            while self.inbox and len(taken) < MOST:
                alone = may_kill(self.inbox[0])
                if taken and alone:
                    break
                taken.append(self.inbox.popleft())
                if alone:
                    break
            return taken

    def conclude(self, ended: DeliveryOutcomes) -> None:
        """Publish what follows, then acknowledge; what the broker does not take at present the relay sends later."""
        known: DeliveryOutcomes = []
        for delivery, outcome in ended:
            if isinstance(outcome, Call):
                with self.arrived:
                    self.calls += 1
                self.callers.submit(answered, self, Waiting(delivery, outcome))
            else:
                known.append((delivery, outcome))
        sent = [
            (number, message)
            for number, (delivery, outcome) in enumerate(known)
            for message in following(name_of(delivery), delivery.request, outcome)
        ]
        taken = self.publish([message for _, message in sent])
        unsent = [each for index, each in enumerate(sent) if index not in taken]
        # Given back to the broker they would come again at once, and use up their deliveries.
        left = not unsent or left_to_relay([message for _, message in unsent])
        lost = set() if left else {number for number, _ in unsent}
        self.wait_for_gate()
        for number, (delivery, outcome) in enumerate(known):
            structlog.contextvars.bind_contextvars(task=name_of(delivery), event=event_type(delivery.message))
            seconds = time.perf_counter() - delivery.began
            again = Reject("neither broker nor database took what follows", requeue=True)
            finish(delivery.request.received, again if number in lost else outcome, seconds)

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


def left_to_relay(messages: Sequence[Message]) -> bool:
    """Promise in the outbox what could not be sent; False, if that cannot be written either."""
    promises = [(message["kwargs"].get("saga"), without_sender(message)) for message in messages]
    try:
        with transaction.atomic():
            writing.add_tasks(promises)
    except (DatabaseFailure, ValueError) as error:
        database_gate.close_if_away(error)
        log.exception("what follows could be neither sent nor promised", messages=len(messages))
        return False
    log.warning("the broker did not take what follows; the relay sends it later", messages=len(messages))
    return True


def carry_out(taken: Sequence[Item]) -> DeliveryOutcomes:
    """Let each task carry out its part."""
    new = [item for item in taken if isinstance(item, Request) and not item.revoked()]
    waiting = [item for item in taken if isinstance(item, Waiting)]
    ended: DeliveryOutcomes = []
    for task, requests in group_by(task_of, new).items():
        ended += task.carry_out([context_of(request) for request in requests])
    for (task, *_), group in group_by(
        lambda each: (task_of(each), each.call.finish, each.call.kind), waiting
    ).items():
        ended += task.finish_calls([(each.delivery, each.call, each.answer) for each in group])
    return ended


def answered(batches: Batches, waiting: Waiting) -> None:
    """Make the call, in a thread of its own."""
    structlog.contextvars.bind_contextvars(task=name_of(waiting.delivery))
    batches.answer(replace(waiting, answer=waiting.call.answer()))


def context_of(request: Request) -> Context:
    """Begin with the request; return it as tasks see theirs."""
    request.on_accepted(os.getpid(), time.monotonic())
    args, kwargs, embed = request.message.payload
    context = Context({**request.request_dict, **(embed or {})}, args=args, kwargs=kwargs, headers={})
    context.received = request
    return context


def finish(request: Request, outcome: Outcome, seconds: float) -> None:
    """Tell broker, worker and Flower."""
    state.task_ready(request, successful=not isinstance(outcome, Exception))
    if isinstance(outcome, Reject):
        request.reject(requeue=outcome.requeue)
        return
    request.acknowledge()
    if isinstance(outcome, TriedLater):
        request.send_event("task-retried", exception=repr(outcome), traceback="")
    elif isinstance(outcome, Exception) and not isinstance(outcome, Ignore):
        request.send_event("task-failed", exception=repr(outcome), traceback="")
    else:
        request.send_event("task-succeeded", result=None, runtime=seconds)


def request_of(item: Item) -> Request:
    received: Request = item.delivery.request.received if isinstance(item, Waiting) else item
    return received


def task_of(item: Item) -> DurableTask:
    task: DurableTask = request_of(item).task
    return task


def name_of(delivery: Delivery[Any]) -> str:
    return str(delivery.request.received.task.name)


def may_kill(item: Item) -> bool:
    return isinstance(item, Request) and is_suspicious(item.message)
