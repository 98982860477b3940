"""The provider's books against ours: the daily sweep (rule 8), the command and the API."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.db import DatabaseError, InterfaceError, connection
from django.utils import timezone
from prometheus_client import Gauge

from celery_config.messaging.relay import Duty
from celery_config.reconcile import Entry, Finding, Kind, compare
from payment_app import selectors
from payment_app.gateways import BookEntry, Gateway, GatewayError
from payment_app.models import Payment
from payment_app.provider import gateway

log = structlog.get_logger(__name__)
DAY_SECONDS = 24 * 3600.0
# Past a week an authorization is gone, so whatever can still change is younger than this.
SWEEP_REACHES_BACK = timedelta(days=8)
# A relay that just started has its outbox to publish; it sweeps a little later.
FIRST_SWEEP_SECONDS = 300.0
DIFFERENCES = Gauge("order_saga_provider_differences", "Differences found by the last sweep.", ["kind"])
SWEPT_AT = Gauge("order_saga_provider_swept_timestamp_seconds", "When the books were last compared.")


@dataclass(frozen=True)
class Comparison:
    """What was found; `under_way` orders had a call open, or changed meanwhile, and were not judged."""

    checked: int
    under_way: int
    findings: list[Finding]


def their_entry(entry: BookEntry) -> Entry:
    return Entry(
        entry.provider_id,
        entry.order,
        facts(entry.state, entry.amount, entry.currency, entry.captured, entry.refunded),
    )


def our_entry(payment: Payment) -> Entry:
    return Entry(
        payment.provider_id,
        payment.order,
        facts(payment.state, payment.amount, payment.currency, payment.captured, payment.refunded),
    )


def facts(state: str, amount: int, currency: str, captured: int, refunded: int) -> dict[str, Any]:
    return {
        "state": str(state),
        "amount": amount,
        "currency": currency,
        "captured": captured,
        "refunded": refunded,
    }


def compare_books(*, since: datetime | None = None) -> Comparison:
    """Compare every authorization in the provider's books with our payments.

    Args:
        since: leave out what was made before.

    Raises:
        GatewayError: the provider's books cannot be read.
    """
    provider = gateway()
    theirs = [their_entry(entry) for entry in provider.books(since)]
    payments = Payment.objects.filter(created_at__gte=since) if since else Payment.objects.all()
    ours = [our_entry(payment) for payment in payments.iterator()]
    unsettled = selectors.orders_under_way()
    suspects = list(compare(theirs=theirs, ours=ours, unsettled=unsettled))
    findings = list(confirmed(provider, suspects))
    waiting = unsettled & {entry.order for entry in theirs}
    return Comparison(checked=len(theirs), under_way=len(waiting), findings=findings)


def confirmed(provider: Gateway, suspects: Iterable[Finding]) -> Iterator[Finding]:
    """Yield what a second look, order by order, shows again: the two books were not read at one moment."""
    looked_at: set[UUID] = set()
    for suspect in suspects:
        if suspect.order is None:
            yield suspect
        elif suspect.order not in looked_at:
            looked_at.add(suspect.order)
            yield from look_again(provider, suspect.order, suspect)


def look_again(provider: Gateway, order: UUID, suspect: Finding) -> Iterator[Finding]:
    before = list(our_side(order))
    theirs = [their_entry(entry) for entry in provider.find(order)]
    if before != list(our_side(order)) or order in selectors.orders_under_way():
        return
    if not theirs and suspect.kind is not Kind.MISSING:
        # A provider's search may lag behind its list, and the list has shown it.
        yield suspect
        return
    yield from compare(theirs=theirs, ours=before)


def our_side(order: UUID) -> Iterator[Entry]:
    payment = selectors.payment_of(order)
    if payment:
        yield our_entry(payment)


def in_words(finding: Finding) -> str:
    """One line about a difference."""
    return f"{finding.kind} {finding.id} (order {finding.order or 'none of ours'}): {finding.detail}"


def sweep() -> None:
    """Compare the last days, log every difference, set the metrics; when it cannot, log why."""
    try:
        result = compare_books(since=timezone.now() - SWEEP_REACHES_BACK)
    except (GatewayError, DatabaseError, InterfaceError) as error:
        log.error("the provider's books could not be compared; the next sweep tries again", error=repr(error))
        return
    finally:
        connection.close()
    for finding in result.findings:
        log.error(
            "books differ",
            kind=finding.kind,
            provider_id=finding.id,
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
    """Sweep in a thread of its own: a slow provider must not hold back what the relay publishes."""
    threading.Thread(target=sweep, name="provider-sweep", daemon=True).start()


def duties() -> list[Duty]:
    """For RELAY_DUTIES."""
    return [Duty("provider sweep", start_sweep, DAY_SECONDS, next_at=time.monotonic() + FIRST_SWEEP_SECONDS)]
