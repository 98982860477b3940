"""The carrier's books against ours: the daily sweep (rule 8), the command and the API."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from celery_config.messaging.outbox.relay import Duty
from celery_config.reconciliation.comparison import BookedEffect, compare
from celery_config.reconciliation.sweep import Comparison, ReconciliationSource
from shipment_app import selectors
from shipment_app.carrier import carrier
from shipment_app.carriers import CarrierError

# The carrier's clock and ours may differ so much about when a shipment was made.
CLOCKS_DIFFER = timedelta(hours=1)
FACTS = ("state", "tracking_number", "weight_grams", "parcels")


def compare_books(since: datetime | None = None) -> Comparison:
    """Compare the shipments in the carrier's books with ours.

    The two are not read at one moment. Theirs are read first, so whatever the carrier had done by then is in
    our rows, or its intent is still open, or our row changed after this began; the last two are not judged.

    Args:
        since: leave out what was made before.

    Raises:
        CarrierError: the carrier's books cannot be read.
    """
    began = selectors.database_now()
    theirs = list(their_entries(since))
    unsettled = selectors.orders_under_way()
    ours = list(our_entries(since))
    unsettled |= selectors.orders_under_way()
    unsettled |= selectors.orders_changed_since(began)
    under_way = len(unsettled & {entry.order for entry in theirs})
    if since:
        unsettled |= selectors.orders_made_between(since - CLOCKS_DIFFER, since + CLOCKS_DIFFER)
    return Comparison(len(theirs), under_way, list(compare(theirs=theirs, ours=ours, unsettled=unsettled)))


def their_entries(since: datetime | None) -> Iterator[BookedEffect]:
    for entry in carrier().books(since):
        yield BookedEffect(entry.carrier_id, entry.order, {name: getattr(entry, name) for name in FACTS})


def our_entries(since: datetime | None) -> Iterator[BookedEffect]:
    rows = selectors.shipments(since=since).order_by().values_list("carrier_id", "order", *FACTS)
    for carrier_id, order, *facts in rows.iterator():
        yield BookedEffect(carrier_id, order, dict(zip(FACTS, facts, strict=True)))


books = ReconciliationSource("carrier", "shipments", compare_books, (CarrierError,))


def duties() -> list[Duty]:
    """For RELAY_DUTIES."""
    return books.duties()
