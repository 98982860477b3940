"""Notes of staff about an order, in their own table: kept with the name, and deleted with the customer's data."""

from __future__ import annotations

from django.db import transaction

from celery_config.erasure import tombstones
from celery_config.errors import OperatorRefused
from order_project.models import Order, OrderNote

LONGEST_NOTE = 2000


def add_note(order: Order, *, by: str, text: str) -> OrderNote:
    """Keep a note about an order.

    Raises:
        OperatorRefused: its customer is forgotten, and what staff write about them would stay.
    """
    with transaction.atomic():
        # An erasure locks the order, too: it deletes the note, or its tombstone is seen here.
        Order.objects.select_for_update().filter(pk=order.pk).first()
        if tombstones.erased_among([order.pk]):
            raise OperatorRefused("the customer of this order is forgotten: nothing more is kept about them")
        return OrderNote.objects.create(order=order, by=by, text=text)
