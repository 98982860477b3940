"""The log of sagas that ended long ago is forgotten; their rows stay, as the orders do."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from celery_config.common.identifiers import first_of
from celery_config.messaging.retention import BATCH, delete
from celery_config.saga.models import SagaDecision, SagaStep


def forget_log(batch: int = BATCH) -> bool:
    """Delete a batch of steps and of decisions of sagas past the horizon; an open saga keeps them.

    Returns:
        whether there may be more.
    """
    horizon = timezone.now() - timedelta(days=settings.SAGA_RETENTION_DAYS)
    long_ended = Q(saga__lt=first_of(horizon), saga__ended_at__lt=horizon)
    full = [delete(model, long_ended, "saga_id", batch) for model in (SagaStep, SagaDecision)]
    return any(full)
