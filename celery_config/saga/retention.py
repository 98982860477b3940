"""The log of sagas that ended long ago is forgotten; their rows stay, as the orders do."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from celery_config.ids import first_of
from celery_config.messaging.retention import BATCH, delete
from celery_config.saga.models import SagaDecision, SagaStep


def forget_log(batch: int = BATCH) -> None:
    """Delete steps and decisions of sagas past the horizon, a batch at a time; an open saga keeps them."""
    horizon = timezone.now() - timedelta(days=settings.SAGA_RETENTION_DAYS)
    long_ended = Q(saga__lt=first_of(horizon), saga__ended_at__lt=horizon)
    for model in (SagaStep, SagaDecision):
        delete(model, long_ended, batch)
