"""Duties of the orchestrator's relay: watchdog, dead letters, members of queues, sums, retention."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import structlog
from celery import current_app
from django.conf import settings
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from celery_config.broker import cluster
from celery_config.common.identifiers import min_uuid7_at
from celery_config.db.limits import slow_statements
from celery_config.messaging.outbox import publishing
from celery_config.messaging.outbox.relay import BackgroundDuty, Duty
from celery_config.messaging.retention import BATCH, EVERY_SECONDS, delete_batch
from celery_config.saga.batches.models import Batch, BatchItem
from celery_config.saga.batches.running import run_batches, select_unsettled
from celery_config.saga.engine.flows import flows
from celery_config.saga.engine.saga_flow import SAGAS
from celery_config.saga.engine.standstill import StandstillCheck
from celery_config.saga.engine.watchdog import give_time_back, redrive_others, select_any_due, tick
from celery_config.saga.holds.running import HoldRunner, select_held
from celery_config.saga.models import DeadLetter, LetterGroup, SagaDecision, SagaStep, StepTry
from celery_config.saga.operations.approvals import EXPIRES_EVERY, expire_requests
from celery_config.saga.operations.services import LOOK_SECONDS, look_at_queues, look_at_services
from celery_config.saga.states import ENDED
from celery_config.saga.sums.writing import SUM_SECONDS, delete_old_sums, sum_up

log = structlog.get_logger(__name__)
QUEUES_SECONDS = 30.0
ASIDE_SECONDS = 30.0
UNROUTED_SECONDS = 300.0
# It looks at every old letter that stays.
LETTERS_SECONDS = 3600.0


def saga_duties() -> list[Duty]:
    """The duties that the orchestrator's relay runs beside publishing; deadlines follow what it publishes late."""
    if give_time_back not in publishing.late_publish_observers:
        publishing.late_publish_observers.append(give_time_back)
    app = current_app._get_current_object()
    from celery_config.saga.dead_letters.outcomes import note_outcomes, select_under_way
    from celery_config.saga.dead_letters.reader import DeadLetterReader
    from celery_config.saga.dead_letters.set_aside import take_set_aside
    from celery_config.saga.dead_letters.unrouted import UnroutedReader

    period = settings.TIMES.period
    standstill = StandstillCheck(app)
    others = [flow for flow in flows.values() if flow is not SAGAS]
    return [
        Duty("watchdog", partial(tick, standstill), period(1)),
        *(
            Duty(
                str(flow.model._meta.verbose_name_plural),
                partial(redrive_others, flow, standstill),
                period(1),
                needs=partial(select_any_due, flow),
            )
            for flow in others
        ),
        Duty("batches", BackgroundDuty("batches", run_batches).start, period(1), needs=select_unsettled),
        Duty("holds", HoldRunner().start, period(1), needs=select_held),
        Duty("requests for approval", expire_requests, EXPIRES_EVERY),
        Duty("dead letters", DeadLetterReader(app).read, period(1)),
        Duty(
            "outcomes of letters",
            BackgroundDuty("outcomes", note_outcomes).start,
            period(2),
            needs=select_under_way,
        ),
        Duty(
            "unrouted", BackgroundDuty("unrouted", UnroutedReader(app).read).start, period(UNROUTED_SECONDS)
        ),
        Duty("set aside", BackgroundDuty("set aside", take_set_aside).start, period(ASIDE_SECONDS)),
        Duty("retention of the log", delete_old_log, period(EVERY_SECONDS)),
        Duty("retention of dead letters", delete_old_letters, LETTERS_SECONDS),
        Duty("retention of batches", delete_old_batches, period(EVERY_SECONDS)),
        Duty("services", BackgroundDuty("services", look_at_services).start, period(LOOK_SECONDS)),
        Duty("queues seen", partial(look_at_queues, standstill), period(LOOK_SECONDS)),
        Duty("sums", BackgroundDuty("sums", sum_up).start, period(SUM_SECONDS)),
        Duty("retention of sums", slow_statements()(delete_old_sums), period(EVERY_SECONDS)),
        *(
            [Duty("queues", BackgroundDuty("queues", measure_queues).start, QUEUES_SECONDS)]
            * bool(settings.BROKER_API)
        ),
    ]


def measure_queues() -> None:
    """Set the gauges of the broker's queues."""
    try:
        cluster.measure_queues(settings.BROKER_API)
    except cluster.BrokerApiError as error:
        log.warning("nobody knows the members of the queues", error=str(error))


@slow_statements()
def delete_old_log(batch: int = BATCH) -> bool:
    """Delete a batch of steps, decisions and tries of flows that ended long ago; return whether there may be more."""
    horizon = timezone.now() - timedelta(days=settings.SAGA_RETENTION_DAYS)
    long_ended = Q(saga__lt=min_uuid7_at(horizon), saga__ended_at__lt=horizon)
    full = [delete_batch(model, long_ended, "saga_id", batch) for model in (SagaStep, SagaDecision)]
    old_tries = Q(flow__lt=min_uuid7_at(horizon), at__lt=horizon)
    for model in flows:
        unended = model._default_manager.filter(pk=OuterRef("flow")).exclude(status__in=ENDED)
        old_tries &= Q(~Exists(unended))
    return any([*full, delete_batch(StepTry, old_tries, "flow", batch)])


@slow_statements()
def delete_old_letters(batch: int = BATCH) -> bool:
    """Delete a batch of old dead letters that were dealt with, then of empty groups; return whether there may be more.

    A letter is dealt with when its flow has ended, or an operator says so. Others stay, however old they are.
    """
    horizon = timezone.now() - timedelta(days=settings.SAGA_RETENTION_DAYS)
    dealt_with = Q(dealt_with_at__lt=horizon)
    for model in flows:
        ended = model._default_manager.filter(pk=OuterRef("saga"), status__in=ENDED)
        dealt_with |= Q(Exists(ended))
    if delete_batch(DeadLetter, Q(received_at__lt=horizon) & dealt_with, "received_at", batch):
        return True
    empty = ~Exists(DeadLetter.objects.filter(fingerprint=OuterRef("pk")))
    return delete_batch(LetterGroup, Q(empty, first_at__lt=horizon), "first_at", batch)


@slow_statements()
def delete_old_batches(batch: int = BATCH) -> bool:
    """Delete a piece of the batches that settled long ago; return whether there may be more."""
    horizon = timezone.now() - timedelta(days=settings.SAGA_RETENTION_DAYS)
    old = Q(settled_at__lt=horizon)
    if delete_batch(BatchItem, Q(batch__in=Batch.objects.filter(old)), "pk", batch):
        return True
    return delete_batch(Batch, old, "created_at", batch)
