"""The reads of the inventory service; none of them locks or writes a row."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import UUID

from django.db.models import BigIntegerField, F, OuterRef, Q, QuerySet, Subquery, Sum, Value
from django.db.models.functions import Coalesce

from inventory_app.domain import Change, Payable, ReservationState, join_names
from inventory_app.erasure import DATA_MAP
from inventory_app.models import Movement, PayableCurrency, Price, Reservation, ReservationLine, Stock


def facts(orders: Collection[UUID]) -> dict[str, dict[str, Any]]:
    """What inventory did for each of the orders, by order id; an order without a reservation has no entry.

    `prices` are those that each product has had, in minor units, and since when all of them are known.
    """
    found = list(Reservation.objects.filter(order__in=orders).prefetch_related("lines"))
    lines = {reservation.order: list(reservation.lines.all()) for reservation in found}
    prices = read_prices({each.product_id for some in lines.values() for each in some})
    return {
        str(reservation.order): {
            "state": reservation.state,
            "lines": [
                {"sku": each.product_id, "quantity": each.quantity} for each in lines[reservation.order]
            ],
            "prices": {
                each.product_id: prices[each.product_id]
                for each in lines[reservation.order]
                if each.product_id in prices
            },
        }
        for reservation in found
    }


def read_prices(skus: Collection[str]) -> dict[str, dict[str, Any]]:
    """The prices that each product has had: `amounts`, and `since` when all of them are known."""
    found: dict[str, dict[str, Any]] = {}
    for sku, at, amount in (
        Price.objects.filter(sku__in=skus).order_by("id").values_list("sku", "at", "amount")
    ):
        known = found.setdefault(sku, {"since": at.isoformat(), "amounts": []})
        if amount not in known["amounts"]:
            known["amounts"].append(amount)
    return found


def totals() -> dict[str, Any]:
    """The number of products; `faults` says in words what does not add up, and names some products.

    Each check is one statement, so it sees the database at one moment.
    """
    opened_and_adjusted = sum_movements(Change.OPENING, Change.ADJUST)
    checks = {
        "is negative or oversold": Stock.objects.filter(
            Q(on_hand__lt=0) | Q(reserved__lt=0) | Q(reserved__gt=F("on_hand"))
        ),
        "on hand is not opening + adjustments - committed": Stock.objects.annotate(
            expected=opened_and_adjusted - sum_reservations(ReservationState.COMMITTED)
        ).exclude(on_hand=F("expected")),
        "reserved is not what the held reservations hold": Stock.objects.annotate(
            expected=sum_reservations(ReservationState.HELD)
        ).exclude(reserved=F("expected")),
        "is not the sum of its movements": Stock.objects.annotate(
            left=opened_and_adjusted - sum_movements(Change.COMMIT),
            held=sum_movements(Change.RESERVE) - sum_movements(Change.RELEASE, Change.COMMIT),
        ).exclude(on_hand=F("left"), reserved=F("held")),
    }
    broken = {what: list(rows.order_by("pk").values_list("pk", flat=True)) for what, rows in checks.items()}
    faults = [
        f"stock of {len(skus)} products {what}: {join_names(skus)}" for what, skus in broken.items() if skus
    ]
    faults += DATA_MAP.find_residue()
    return {"products": Stock.objects.count(), "faults": faults}


def sum_movements(*kinds: Change) -> Coalesce:
    """The units of the movements of these kinds, for each row of stock."""
    return sum_units(Movement.objects.filter(kind__in=kinds))


def sum_reservations(state: ReservationState) -> Coalesce:
    """The units in reservations of this state, for each row of stock."""
    return sum_units(ReservationLine.objects.filter(reservation__state=state))


def sum_units(rows: QuerySet[Any]) -> Coalesce:
    rows = rows.filter(product=OuterRef("pk")).order_by().values("product").annotate(units=Sum("quantity"))
    return Coalesce(Subquery(rows.values("units")), Value(0), output_field=BigIntegerField())


def read_payable(*currencies: str) -> dict[str, Payable]:
    """Return what the payment provider takes of these currencies, by default of all, as far as it is known."""
    rows = PayableCurrency.objects.filter(pk__in=currencies) if currencies else PayableCurrency.objects.all()
    return {row.currency: Payable(row.accepted, row.step) for row in rows}
