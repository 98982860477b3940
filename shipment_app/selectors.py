"""The reads of shipment."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Count, Q, QuerySet
from django.utils import timezone

from celery_config.messaging.models import BarrierRow
from celery_config.messaging.states import Action, Undo
from shipment_app.erasure import DATA_MAP
from shipment_app.errors import NoShipment
from shipment_app.models import Shipment


def shipments(*, since: datetime | None = None) -> QuerySet[Shipment]:
    return Shipment.objects.filter(created_at__gte=since) if since else Shipment.objects.all()


def carrier_ids_of(orders: Collection[UUID]) -> list[str]:
    """The carrier's names for orders' shipments, in that order.

    Raises:
        NoShipment: we know of none.
    """
    found = dict(Shipment.objects.filter(order__in=list(orders)).values_list("order", "carrier_id"))
    for order in orders:
        if order not in found:
            raise NoShipment(f"order {order} has no shipment here")
    return [found[order] for order in orders]


def facts(*, orders: Collection[UUID]) -> dict[str, dict[str, Any]]:
    """What was done for each of these orders; an order without a shipment has no entry."""
    names = ("state", "carrier_id", "tracking_number", "weight_grams", "parcels")
    found = Shipment.objects.filter(order__in=orders).values("order", *names)
    return {str(row["order"]): {name: row[name] for name in names} for row in found}


def totals() -> dict[str, Any]:
    """How many shipments are in which state, and as `faults` what is left of people who were forgotten."""
    states = Shipment.objects.order_by().values_list("state").annotate(count=Count("pk"))
    return {"states": dict(states), "faults": list(DATA_MAP.find_residue())}


def orders_under_way() -> set[UUID]:
    """The orders with an open intent: a call to the carrier for them may be under way."""
    intents = BarrierRow.objects.filter(Q(action=Action.INTENT) | Q(undo=Undo.INTENT), request__isnull=False)
    return {UUID(order) for order in intents.values_list("request__order", flat=True)}


def orders_changed_since(moment: datetime) -> set[UUID]:
    """The orders whose shipment was written after `moment`, by the database's clock."""
    return set(Shipment.objects.filter(updated_at__gte=moment).values_list("order", flat=True))


def orders_made_between(start: datetime, end: datetime) -> set[UUID]:
    return set(Shipment.objects.filter(created_at__range=(start, end)).values_list("order", flat=True))


def database_now() -> datetime:
    """The clock that writes `created_at` and `updated_at`."""
    if connection.vendor != "postgresql":
        return timezone.now()
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement_timestamp()")
        now: datetime = cursor.fetchone()[0]
    return now
