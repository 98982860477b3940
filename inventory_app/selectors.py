"""The reads of inventory."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import UUID

from django.db.models import BigIntegerField, F, OuterRef, Q, QuerySet, Subquery, Sum, Value
from django.db.models.functions import Coalesce

from inventory_app.domain import Change, ReservationState, named
from inventory_app.erasure import DATA_MAP
from inventory_app.models import Movement, Product, Reservation, ReservationLine, Stock


def products() -> QuerySet[Product]:
    return Product.objects.all()


def stock() -> QuerySet[Stock]:
    return Stock.objects.annotate(available=F("on_hand") - F("reserved"))


def reservations() -> QuerySet[Reservation]:
    return Reservation.objects.prefetch_related("lines")


def movements() -> QuerySet[Movement]:
    return Movement.objects.all()


def facts(*, orders: Collection[UUID]) -> dict[str, dict[str, Any]]:
    """What was done for each of these orders; an order without a reservation has no entry."""
    return {
        str(reservation.order): {
            "state": reservation.state,
            "lines": [
                {"sku": line.product_id, "quantity": line.quantity} for line in reservation.lines.all()
            ],
        }
        for reservation in reservations().filter(order__in=orders)
    }


def totals() -> dict[str, Any]:
    """The number of products, and as `faults` what does not hold for all of them, some products named.

    Each check is one statement, and so sees one moment of the database, however busy it is.
    """
    opened_and_adjusted = moved(Change.OPENING, Change.ADJUST)
    checks = {
        "is negative or oversold": Stock.objects.filter(
            Q(on_hand__lt=0) | Q(reserved__lt=0) | Q(reserved__gt=F("on_hand"))
        ),
        "on hand is not opening + adjustments - committed": Stock.objects.annotate(
            expected=opened_and_adjusted - in_reservations(ReservationState.COMMITTED)
        ).exclude(on_hand=F("expected")),
        "reserved is not what the held reservations hold": Stock.objects.annotate(
            expected=in_reservations(ReservationState.HELD)
        ).exclude(reserved=F("expected")),
        "is not the sum of its movements": Stock.objects.annotate(
            left=opened_and_adjusted - moved(Change.COMMIT),
            held=moved(Change.RESERVE) - moved(Change.RELEASE, Change.COMMIT),
        ).exclude(on_hand=F("left"), reserved=F("held")),
    }
    broken = {what: list(rows.order_by("pk").values_list("pk", flat=True)) for what, rows in checks.items()}
    faults = [f"stock of {len(skus)} products {what}: {named(skus)}" for what, skus in broken.items() if skus]
    faults += DATA_MAP.find_residue()
    return {"products": Stock.objects.count(), "faults": faults}


def moved(*kinds: Change) -> Coalesce:
    """The units that movements of these kinds moved, for each row of stock."""
    return total(Movement.objects.filter(kind__in=kinds))


def in_reservations(state: ReservationState) -> Coalesce:
    """The units in reservations of this state, for each row of stock."""
    return total(ReservationLine.objects.filter(reservation__state=state))


def total(rows: QuerySet[Any]) -> Coalesce:
    of_product = (
        rows.filter(product=OuterRef("pk")).order_by().values("product").annotate(units=Sum("quantity"))
    )
    return Coalesce(Subquery(of_product.values("units")), Value(0), output_field=BigIntegerField())
