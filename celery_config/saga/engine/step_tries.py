"""The tries of steps that did not succeed: each is kept once, by the id of its event, and never changed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from uuid import UUID, uuid5

from django.db import models

from celery_config.common.grouping import group_by
from celery_config.db import bulk
from celery_config.erasure import tombstones
from celery_config.messaging.inbox.subscriptions import Received
from celery_config.saga.engine.flows import flows
from celery_config.saga.engine.step_log import own_commands
from celery_config.saga.flow_facts import Try
from celery_config.saga.models import SagaStep, StepTry

MOST_KEPT = 2000
"""Of a flow. A step that fails all day has 52; its pages read them all, and a service may announce any number."""
COLUMNS = ("event", "flow", "step", "operation", "number", "code", "reason", "at", "next_at")


def write_tries(received: Sequence[Received]) -> None:
    """Write the failed tries that participants announce of their own steps, for known flows.

    Those of erased people are kept without their words.
    """
    told = {each.envelope.saga for each in received if each.envelope.saga}
    known = find_known(told)
    # The steps of a choreographed order are named after their commands.
    found = SagaStep.objects.filter(saga__in=known).values_list("saga_id", "name", "command")
    commands = {(saga, name): command for saga, name, command in found}
    erased, room = tombstones.erased_among(known), count_room(known)
    append(
        [
            StepTry(
                # Whose it is belongs to the id: one service can compute the ids of another's events.
                event=uuid5(each.envelope.id, each.envelope.speaker),
                flow=flow,
                step=each.data.step,
                operation=each.data.operation,
                number=each.data.number,
                code=each.data.code,
                reason="" if flow in erased else each.data.reason,
                at=each.envelope.time,
                next_at=each.data.next_at,
            )
            for each in received
            if (flow := each.envelope.saga) in known
            and commands.get((flow, each.data.step), each.data.step).startswith(
                own_commands(each.envelope.speaker)
            )
            and take_room(room, flow)
        ]
    )


def count_room(known: Collection[UUID]) -> dict[UUID, int]:
    """Return how many more tries each flow may have in its history."""
    rows: models.QuerySet[StepTry] = StepTry.objects.filter(flow__in=known).order_by()
    kept = dict(rows.values_list("flow").annotate(count=models.Count("pk")))
    return {flow: MOST_KEPT - kept.get(flow, 0) for flow in known}


def take_room(room: dict[UUID, int], flow: UUID) -> bool:
    """Take a place in a flow's history; return whether there was one."""
    room[flow] -= 1
    return room[flow] >= 0


def append(tries: Sequence[StepTry]) -> None:
    """Add tries to the history; one that is there already stays as it is."""
    once = {each.event: each for each in tries}
    bulk.insert_new(StepTry, list(once.values()), COLUMNS, returning="id")


def find_known(ids: Collection[UUID]) -> set[UUID]:
    """Return those of the ids that are of a flow of any kind."""
    return {
        pk for model in flows for pk in model._default_manager.filter(pk__in=ids).values_list("pk", flat=True)
    }


def read_tries(ids: Collection[UUID]) -> dict[UUID, list[Try]]:
    """Return the failed tries of flows, oldest first, with one query for any number of flows."""
    fields = ("step", "operation", "number", "code", "reason", "at", "next_at")
    rows: models.QuerySet[StepTry] = StepTry.objects.filter(flow__in=ids)
    # Few rows, which no index holds in their order for several flows at once.
    found = sorted(rows.values_list("flow", "pk", *fields), key=lambda row: (row[-2], row[1]))
    return {
        flow: [Try(*values) for _, _, *values in some]
        for flow, some in group_by(lambda row: row[0], found).items()
    }
