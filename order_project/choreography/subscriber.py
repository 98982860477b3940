"""What the order service does about the events of choreographed orders: it records them and derives the status."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils import timezone

from celery_config.contracts.base import LOST, StepGaveUp, encode
from celery_config.messaging.inbox.subscriptions import Received
from celery_config.saga.causes import count_failure
from celery_config.saga.engine.step_log import own_commands
from celery_config.saga.engine.unit_of_work import UnitOfWork
from order_project.choreography.derivation import EventsSeen, StepLost
from order_project.choreography.events import record_events
from order_project.choreography.flow import CHOREOGRAPHIES, update_fault


def handle_events(received: Sequence[Received]) -> None:
    """Record events of choreographed orders, and give the orders the status that follows."""
    of_orders = [each for each in received if each.envelope.flow and each.envelope.saga]
    # Nothing is recorded of an erased customer's order, and nothing announced: it has no `placed`.
    known = {
        row.pk: row for row in CHOREOGRAPHIES.lock(each.envelope.saga for each in of_orders) if row.placed
    }
    if not known:
        return
    news = [(row, each) for each in of_orders if (row := known.get(each.envelope.saga)) and is_own(each)]
    record_events((row.pk, each.data) for row, each in news if not isinstance(each.data, StepGaveUp))
    work = UnitOfWork.begin(CHOREOGRAPHIES, [*known.values()])
    for row, each in news:
        if isinstance(each.data, StepGaveUp):
            step, operation = each.envelope.step, each.envelope.operation
            before = row.failure if row.failure.get("step") == step else None
            told = count_failure(before, operation, encode(each.data), timezone.now())
            row.failure = {"step": step, **told}
            work.changed[row.pk] = row
    lost = {row.pk for row, each in news if isinstance(each.data, StepGaveUp) and each.data.code == LOST}
    for row in known.values():
        work.apply_trigger(row, EventsSeen())
        if row.pk in lost:
            work.apply_trigger(row, StepLost())
        if update_fault(row, work.facts[row.pk]):
            work.changed[row.pk] = row
    work.write()


def is_own(received: Received) -> bool:
    """Whether a service that gives a step up says so of a step of its own; what else it announces is its own."""
    about = received.envelope
    return not isinstance(received.data, StepGaveUp) or about.step.startswith(own_commands(about.speaker))
