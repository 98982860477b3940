"""A source of truth outside: the records of a provider or carrier, compared with our own table of the same effects.

The two are not read at one moment. So an order with a call under way is not judged, and a difference counts only when
a second look at its order shows it again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from django.db.models import Model, Q, QuerySet
from django.utils import timezone

from celery_config.errors import CallFailed, OutcomeUnknown, Refused
from celery_config.messaging.models import BarrierRow
from celery_config.messaging.states import Action, Undo
from celery_config.reconciliation.comparison import BookedEffect, Finding, FindingKind, compare

UNREADABLE = (Refused, OutcomeUnknown, CallFailed)
"""How a call to a source can fail."""


class Client(Protocol):
    """What is read of a source."""

    def find_entries(self, order: UUID) -> Iterable[Any]:
        """The entries of one order."""

    def list_entries(self, since: datetime | None = None) -> Iterable[Any]:
        """Every entry made since then."""


@dataclass(frozen=True)
class Comparison:
    """What was found; `under_way` orders had a call open and were not judged."""

    checked: int
    under_way: int
    findings: list[Finding]


@dataclass(frozen=True, kw_only=True)
class ReconciliationSource:
    """One source and our table beside it.

    Args:
        name: `provider` or `carrier`.
        entries: what the source records: `authorizations`, `shipments`.
        client: returns the client of the source.
        model: our table, with `order` and `created_at`.
        id_field: the field of both sides that holds the source's id of an entry.
        facts: the fields that must be equal on both sides.
    """

    name: str
    entries: str
    client: Callable[[], Client]
    model: type[Model]
    id_field: str
    facts: tuple[str, ...]

    def compare(self, days: float | None = None) -> Comparison:
        """Compare the source's entries of the last days, or all of them, with our rows.

        Raises:
            Refused, OutcomeUnknown, CallFailed: the source cannot be read.
        """
        client = self.client()
        since = None if days is None else timezone.now() - timedelta(days=days)
        # Theirs before ours: what the source did before this moment is in our rows by then, or its call is under way.
        theirs = [self._make_entry(item) for item in client.list_entries(since)]
        ours = list(self._read_ours(created_at__gte=since) if since else self._read_ours())
        unsettled = find_orders_under_way()
        suspects = list(compare(theirs=theirs, ours=ours, unsettled=unsettled))
        under_way = unsettled & {entry.order for entry in theirs}
        return Comparison(len(theirs), len(under_way), list(self._confirm(client, suspects)))

    def _confirm(self, client: Client, suspects: Iterable[Finding]) -> Iterator[Finding]:
        """Yield what a second look, order by order, shows again."""
        checked: set[UUID] = set()
        for suspect in suspects:
            if suspect.order is None:
                yield suspect
            elif suspect.order not in checked:
                checked.add(suspect.order)
                yield from self._compare_order(client, suspect.order, suspect)

    def _compare_order(self, client: Client, order: UUID, suspect: Finding) -> Iterator[Finding]:
        before = list(self._read_ours(order=order))
        theirs = [self._make_entry(item) for item in client.find_entries(order)]
        if before != list(self._read_ours(order=order)) or order in find_orders_under_way():
            return
        if not theirs and suspect.kind is not FindingKind.MISSING:
            # A provider's search may lag behind its list, and the list has shown the entry.
            yield suspect
            return
        yield from compare(theirs=theirs, ours=before)

    def _read_ours(self, **conditions: Any) -> Iterator[BookedEffect]:
        rows: QuerySet[Model] = self.model._default_manager.filter(**conditions)
        return map(self._make_entry, rows.only(self.id_field, "order", *self.facts).iterator())

    def _make_entry(self, item: Any) -> BookedEffect:
        facts = {name: getattr(item, name) for name in self.facts}
        return BookedEffect(getattr(item, self.id_field), item.order, facts)


def find_orders_under_way() -> set[UUID]:
    """The orders with an open intent (rule 8, effects outside): a call may be under way for them."""
    intents = BarrierRow.objects.filter(Q(action=Action.INTENT) | Q(undo=Undo.INTENT), request__isnull=False)
    return {UUID(order) for order in intents.values_list("request__order", flat=True)}
