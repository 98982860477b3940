"""What the order service does on a message, besides what its sagas (celery_config/saga/engine/tasks.py) do."""

from __future__ import annotations

from celery_config.participant.choreography import register_subscriptions
from order_project.subscriptions import SUBSCRIPTIONS

register_subscriptions(SUBSCRIPTIONS)
