"""Inventory's part of the board: stock that is low, and stock that is held. The relay counts what no index finds."""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models import F
from django.http import HttpRequest
from django.utils.html import format_html

from celery_config.messaging.observations import find_observation, make_duty
from celery_config.messaging.outbox.relay import Duty
from celery_config.web.board import ACT, GOOD, LOOK, TILES, Section, Tile, find_list
from celery_config.web.columns import format_ago, format_number
from inventory_app.domain import ReservationState
from inventory_app.models import Reservation, Stock

LOW = 10
"""Units that can still be ordered."""
LEVELS = "stock"
# An index would be written with each order.
COUNT_SECONDS = 60.0


def duties() -> list[Duty]:
    """The duties of inventory's relay besides those of every relay."""
    return [make_duty(LEVELS, count_stock, COUNT_SECONDS)]


def count_stock() -> dict[str, int]:
    """Count the products on sale of which few units, or none, can still be ordered."""
    on_sale = Stock.objects.filter(product__active=True).annotate(left=F("on_hand") - F("reserved"))
    low = on_sale.filter(left__lte=LOW)
    return {"low": low.count(), "none": low.filter(left__lte=0).count()}


def show_stock(request: HttpRequest) -> Iterator[Section]:
    tiles = []
    if request.user.has_perm("inventory.view_stock"):
        tiles += make_stock_tiles()
    if request.user.has_perm("inventory.view_reservation"):
        held = Reservation.objects.filter(state=ReservationState.HELD.value).count()
        where = find_list("inventory_reservation", state__exact=ReservationState.HELD.value)
        tiles.append(
            Tile("Reservations held", format_number(held), "for orders that have not ended", "", where)
        )
    if tiles:
        yield Section("Stock", TILES, tiles)


def make_stock_tiles() -> list[Tile]:
    counted = find_observation(LEVELS)
    if counted is None:
        return [Tile("Stock that is low", "not counted yet", "the relay counts it every minute")]
    when = format_html("counted {}", format_ago(counted.at))
    low, none = counted.content["low"], counted.content["none"]
    return [
        Tile(
            f"Products with {LOW} units or fewer",
            low,
            when,
            LOOK if low else GOOD,
            find_list("inventory_stock", left="low"),
        ),
        Tile(
            "Products sold out", none, when, ACT if none else GOOD, find_list("inventory_stock", left="none")
        ),
    ]
