"""Choreographed orders over HTTP for operators: what a verb would do, and doing it."""

from __future__ import annotations

from celery_config.saga.operations.api import Operated, paths
from order_project import operators
from order_project.models import Choreography

ORDERS = Operated(
    Choreography, operators.preview, operators.perform, operators.take_over, operators.settle_by_hand
)
urlpatterns = paths("order", ORDERS, operators.LABELS)
