"""The carrier's books against ours: the daily sweep (rule 8), the command and the API."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.db import DatabaseError, InterfaceError, connection
from django.utils import timezone
from prometheus_client import Gauge

from celery_config.messaging.relay import Duty
from celery_config.reconcile import Entry, Finding, Kind, compare
from shipment_app import selectors
from shipment_app.carrier import carrier
from shipment_app.carriers import CarrierError

log = structlog.get_logger(__name__)
DAY_SECONDS = 24 * 3600.0
# A shipment still changes while its saga is driven, which is a day and some hours; older ones rest.
SWEEP_REACHES_BACK = timedelta(days=8)
# A relay that just started has its outbox to publish; it sweeps a little later.
FIRST_SWEEP_SECONDS = 300.0
# The carrier's clock and ours may differ so much about when a shipment was made.
CLOCKS_DIFFER = timedelta(hours=1)
FACTS = ("state", "tracking_number", "weight_grams", "parcels")

DIFFERENCES = Gauge("order_saga_carrier_differences", "Differences found by the last sweep.", ["kind"])
SWEPT_AT = Gauge("order_saga_carrier_swept_timestamp_seconds", "When the books were last compared.")


@dataclass(frozen=True)
class Comparison:
    """What was found; `under_way` orders had a call open, or changed meanwhile, and were not judged."""

    checked: int
    under_way: int
    findings: list[Finding]


def compare_books(*, since: datetime | None = None) -> Comparison:
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


def their_entries(since: datetime | None) -> Iterator[Entry]:
    for entry in carrier().books(since):
        yield Entry(entry.carrier_id, entry.order, {name: getattr(entry, name) for name in FACTS})


def our_entries(since: datetime | None) -> Iterator[Entry]:
    rows = selectors.shipments(since=since).order_by().values_list("carrier_id", "order", *FACTS)
    for carrier_id, order, *facts in rows.iterator():
        yield Entry(carrier_id, order, dict(zip(FACTS, facts, strict=True)))


def sweep() -> None:
    """Compare the last days, log every difference, set the metrics; when it cannot, log why."""
    try:
        result = compare_books(since=timezone.now() - SWEEP_REACHES_BACK)
    except (CarrierError, DatabaseError, InterfaceError) as error:
        log.error("the carrier's books could not be compared; the next sweep tries again", error=repr(error))
        return
    finally:
        connection.close()
    for finding in result.findings:
        log.error(
            "books differ",
            kind=finding.kind,
            carrier_id=finding.id,
            order=str(finding.order),
            detail=finding.detail,
        )
    counted = Counter(finding.kind for finding in result.findings)
    for kind in Kind:
        DIFFERENCES.labels(kind.value).set(counted[kind])
    SWEPT_AT.set_to_current_time()
    log.info(
        "books compared", checked=result.checked, under_way=result.under_way, differences=len(result.findings)
    )


def start_sweep() -> None:
    """Sweep in a thread of its own: a slow carrier must not hold back what the relay publishes."""
    threading.Thread(target=sweep, name="carrier-sweep", daemon=True).start()


def duties() -> list[Duty]:
    """For RELAY_DUTIES."""
    return [Duty("carrier sweep", start_sweep, DAY_SECONDS, next_at=time.monotonic() + FIRST_SWEEP_SECONDS)]
