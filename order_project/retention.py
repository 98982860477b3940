"""Clients' idempotency keys are forgotten with the logs of their orders' sagas."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from celery_config.messaging.relay import Duty
from celery_config.messaging.retention import EVERY_SECONDS, delete
from order_project.models import IdempotencyKey


def duties() -> list[Duty]:
    """For RELAY_DUTIES."""
    return [Duty("retention of keys", forget_keys, EVERY_SECONDS)]


def forget_keys() -> bool:
    """Delete a batch of them; return whether there may be more."""
    horizon = timezone.now() - timedelta(days=settings.SAGA_RETENTION_DAYS)
    return delete(IdempotencyKey, Q(created_at__lt=horizon), "created_at")
