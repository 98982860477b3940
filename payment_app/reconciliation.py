"""The provider's books against ours: the daily sweep (rule 8), the command and the API."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from celery_config.messaging.outbox.relay import Duty
from celery_config.reconciliation.comparison import BookedEffect, Finding, FindingKind, compare
from celery_config.reconciliation.sweep import Comparison, ReconciliationSource
from payment_app import selectors
from payment_app.gateways import BookEntry, Gateway, GatewayError
from payment_app.models import Payment
from payment_app.provider import gateway


def their_entry(entry: BookEntry) -> BookedEffect:
    return BookedEffect(
        entry.provider_id,
        entry.order,
        facts(entry.state, entry.amount, entry.currency, entry.captured, entry.refunded),
    )


def our_entry(payment: Payment) -> BookedEffect:
    return BookedEffect(
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


def compare_books(since: datetime | None = None) -> Comparison:
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
    if not theirs and suspect.kind is not FindingKind.MISSING:
        # A provider's search may lag behind its list, and the list has shown it.
        yield suspect
        return
    yield from compare(theirs=theirs, ours=before)


def our_side(order: UUID) -> Iterator[BookedEffect]:
    payment = selectors.payment_of(order)
    if payment:
        yield our_entry(payment)


books = ReconciliationSource("provider", "authorizations", compare_books, (GatewayError,))


def duties() -> list[Duty]:
    """For RELAY_DUTIES."""
    return books.duties()
