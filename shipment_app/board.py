"""Shipment's part of the board: parcels by state. The relay counts what would be many rows for a page."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.db.models import Count, Min
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html

from celery_config.messaging.observations import find_observation, make_duty
from celery_config.messaging.outbox.relay import Duty
from celery_config.web.board import TILES, Section, Tile, find_list, needs
from celery_config.web.columns import format_ago, format_number
from shipment_app.domain import ShipmentState
from shipment_app.models import Shipment

PARCELS = "parcels"
COUNT_SECONDS = 60.0
DAY = timedelta(days=1)


def duties() -> list[Duty]:
    """The duty of shipment's relay that counts parcels."""
    return [make_duty(PARCELS, count_parcels, COUNT_SECONDS)]


def count_parcels() -> dict[str, int]:
    """Count the shipments that were changed in 24 hours, by their state."""
    changed = Shipment.objects.filter(updated_at__gt=timezone.now() - DAY).order_by()
    return dict(changed.values_list("state").annotate(n=Count("pk")))


@needs("shipment.view_shipment")
def show_parcels(request: HttpRequest) -> Iterator[Section]:
    booked = Shipment.objects.filter(state=ShipmentState.BOOKED.value).aggregate(
        n=Count("pk"), at=Min("created_at")
    )
    note = format_html("the oldest {}", format_ago(booked["at"])) if booked["at"] else ""
    where = find_list("shipment_shipment", state__exact=ShipmentState.BOOKED.value)
    tiles = [Tile("Booked, not sent yet", format_number(booked["n"]), note, "", where)]
    counted = find_observation(PARCELS)
    for state in (ShipmentState.DISPATCHED, ShipmentState.CANCELLED):
        tiles.append(make_day_tile(state, counted))
    yield Section("Parcels", TILES, tiles)


def make_day_tile(state: ShipmentState, counted: Any) -> Tile:
    value = format_number(counted.content.get(state.value, 0)) if counted else "not counted yet"
    when = (
        format_html("counted {}", format_ago(counted.at)) if counted else "the relay counts them every minute"
    )
    return Tile(
        f"{state.value.capitalize()} in 24 h",
        value,
        when,
        "",
        find_list("shipment_shipment", state__exact=state.value),
    )
