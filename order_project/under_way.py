"""Orders under way: how many a user may have at a time (`ORDERS_UNDER_WAY`). Indexes say it; nothing is written."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from celery_config.saga.models import SagaClock, SagaInstance
from celery_config.saga.states import Status
from order_project.domain import OrderStatus
from order_project.models import Order
from order_project.placing import current_flow

PARKED = Status.PARKED.value


def count_room(user: Any) -> int | None:
    """How many more orders the user may place now; None: any number.

    What stands through our own fault does not count: parked orders, orders that are older than their deadline, and all
    while saga time stands. Orders that are placed at the same moment do not see each other.
    """
    limit: int = settings.ORDERS_UNDER_WAY
    if not limit or user.is_staff or SagaClock.objects.filter(stands_since__isnull=False).exists():
        return None
    deadline = timedelta(seconds=settings.TIMES.deadline(current_flow().deadline))
    under_way = Order.objects.filter(
        ~Exists(SagaInstance.objects.filter(pk=OuterRef("saga"), status=PARKED)),
        ~Q(choreography__status=PARKED),
        customer__user_id=user.pk,
        created_at__gt=timezone.now() - deadline,
        status=OrderStatus.PLACED.value,
    )
    return max(0, limit - under_way[:limit].count())
