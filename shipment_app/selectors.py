"""The reads of the shipment service; none of them locks or writes a row."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import UUID

from django.db.models import Count

from celery_config.contracts.values import digest_address
from shipment_app.erasure import DATA_MAP
from shipment_app.errors import ShipmentMissing
from shipment_app.models import Shipment


def find_carrier_ids(orders: Collection[UUID]) -> list[str]:
    """The carrier's ids of the orders' shipments, in the given order.

    Raises:
        ShipmentMissing: an order has no shipment here.
    """
    found = dict(Shipment.objects.filter(order__in=list(orders)).values_list("order", "carrier_id"))
    for order in orders:
        if order not in found:
            raise ShipmentMissing(f"order {order} has no shipment here")
    return [found[order] for order in orders]


def facts(orders: Collection[UUID]) -> dict[str, dict[str, Any]]:
    """What shipment did for each of the orders, by order id; an order without a shipment has no entry.

    `address_digest` is empty when the address was erased.
    """
    names = ("state", "carrier_id", "tracking_number", "weight_grams", "parcels")
    found: Any = Shipment.objects.filter(order__in=orders).values()
    return {
        str(row["order"]): {"address_digest": digest_address(row), **{name: row[name] for name in names}}
        for row in found
    }


def totals() -> dict[str, Any]:
    """The number of shipments in each state; `faults` names personal data that erasure left behind."""
    states = Shipment.objects.order_by().values_list("state").annotate(count=Count("pk"))
    return {"states": dict(states), "faults": list(DATA_MAP.find_residue())}
