"""Refusals: the saga log keeps why a step was refused or given up, and a compensated saga ends with that cause."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from celery_config.db import bulk
from celery_config.saga.causes import WITHOUT_REASON, count_failure
from celery_config.saga.engine.step_log import own_commands
from celery_config.saga.models import SagaInstance, SagaStep
from celery_config.saga.states import Status, StepState


def explain_causes(sagas: Sequence[SagaInstance]) -> None:
    """Set the cause of stopped sagas to the refusal that stopped them, where the cause says no more than a step.

    A refusal comes home by three roads, because Celery's errback carries ids and no reason: it is immutable, so that
    it is published and never run inline (rule 3, the errback). Each of the three may be late or lost:

    1. The errback `order.step_failed`: it stops the saga at once, with a cause that only names the step.
    2. The participant's event: `step_log.merge_entries` writes a refusal to the log, `record_failure` used-up tries.
    3. The replies of the stop chain: the fence or undo of a refused step answers with the refusal that its barrier
       holds, and `record_refusals` writes it. It is complete when the chain ends.

    So this reads whenever a saga is stopped, an event explains a stop, and a saga ends.

    The first refused step of the saga is the cause; the caller saves the rows.
    """
    unexplained = [row.pk for row in sagas if row.cause.get("code") in WITHOUT_REASON]
    if not unexplained:
        return
    refused = SagaStep.objects.filter(saga__in=unexplained, refusal__isnull=False)
    refused = refused.exclude(logged=StepState.DONE).order_by("position")
    causes: dict[UUID, dict[str, str]] = {}
    for saga, step, refusal in refused.values_list("saga_id", "name", "refusal"):
        causes.setdefault(saga, {**(refusal or {}), "step": step})
    for row in sagas:
        row.cause = row.cause | causes.get(row.pk, {})


def record_refusals(refusals: Mapping[tuple[UUID, str], tuple[str, dict[str, Any]]]) -> None:
    """Write the refusals that a stop chain's replies brought from the barriers.

    Args:
        refusals: by saga and step, who says so, and the refusal. It counts for a step of this service alone; empty: it
            is proved otherwise.
    """
    if not refusals:
        return
    sagas, steps = {saga for saga, _ in refusals}, {step for _, step in refusals}
    found = steps_of_unended(sagas).select_for_update().filter(name__in=steps).order_by("pk")
    refused: list[SagaStep] = []
    for row in found.only("saga_id", "name", "command"):
        speaker, refusal = refusals.get((row.saga_id, row.name), (None, None))
        if speaker is not None and row.command.startswith(own_commands(speaker)):
            row.refusal = refusal
            refused.append(row)
    bulk.update(SagaStep, refused, ["refusal"])


@transaction.atomic
def record_failure(
    saga_id: UUID, step: str, operation: str, reason: Mapping[str, Any], speaker: str = ""
) -> None:
    """Write why a participant gave up; a twin of the message may still do the step.

    Args:
        speaker: who says so. It counts for a step of this service alone; empty: it is proved otherwise.
    """
    found = steps_of_unended([saga_id]).select_for_update()
    found = found.filter(name=step, command__startswith=own_commands(speaker))
    for row in found.only("failure", "refusal"):
        row.failure = count_failure(row.failure, operation, reason, timezone.now())
        if operation == "do" and row.refusal is None:
            told = {name: row.failure[name] for name in ("code", "reason") if name in row.failure}
            row.refusal = told  # until a refusal is known
        row.save(update_fields=["failure", "refusal"])


@transaction.atomic
def explain_stopped(sagas: Iterable[UUID]) -> None:
    """Give sagas that are being stopped, or wait, the cause that came after their errback."""
    stopped = SagaInstance.objects.filter(pk__in=[*sagas], status__in=(Status.STOPPING, Status.PARKED))
    named = stopped.filter(cause__code__in=WITHOUT_REASON).select_for_update().order_by("pk")
    rows = list(named)
    explain_causes(rows)
    bulk.update(SagaInstance, rows, ["cause"])


def steps_of_unended(sagas: Iterable[UUID]) -> QuerySet[SagaStep]:
    """The steps of the sagas that have not ended; the cause of the others is final."""
    unended = SagaInstance.objects.filter(pk__in=list(sagas), ended_at__isnull=True)
    return SagaStep.objects.filter(saga__in=unended.values("pk"))
