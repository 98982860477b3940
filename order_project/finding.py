"""Finds the order that a person names at the terminal."""

from __future__ import annotations

from django.db.models import Q

from celery_config.common.identifiers import parse_uuid
from order_project.models import Order


class OrderNotFound(Exception):
    """There is no such order."""


def find_order(name: str) -> Order:
    """Return the order with this id, with the saga of this id, or with this number in another system.

    Raises:
        OrderNotFound: there is none.
    """
    named = parse_uuid(name)
    wanted = Q(pk=named) | Q(saga=named) if named else Q(reference=name)
    order = Order.objects.filter(wanted).first() if name else None
    if order is None:
        raise OrderNotFound(f"There is no order {name[:100]!r}.")
    return order
