"""Notes of staff about an order, in their own table: kept with the name, and deleted with the customer's data."""

from __future__ import annotations

from order_project.models import Order, OrderNote

LONGEST_NOTE = 2000


def add_note(order: Order, *, by: str, text: str) -> OrderNote:
    """Keep a note about an order."""
    return OrderNote.objects.create(order=order, by=by, text=text)
