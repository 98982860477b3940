"""Proving: soon after its end each order is compared with what every service says of it.

The relay proves. An order is proved once: those beyond the mark are kept in memory, and proved again after a restart.
An order of which something does not fit is looked at again until `GRACE_SECONDS` after its end, then that is written
down. While a service does not answer, orders wait, and the mark says since when.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import structlog
from django.conf import settings
from django.db import transaction

from celery_config.common.grouping import split_chunks
from celery_config.db.functions import fetch_now
from celery_config.http.service_client import ServiceClient
from order_project import audit
from order_project.audit_rules import ASKED
from order_project.models import Order
from order_project.proof import measures, statements
from order_project.proof.models import BrokenPromise, ProofMark

log = structlog.get_logger(__name__)
PROVE_SECONDS = 10.0
GRACE_SECONDS = 30.0
HOLD = timedelta(minutes=2)
MOMENT = timedelta(microseconds=1)
ASK_SECONDS = 20.0
LONGEST = BrokenPromise._meta.get_field("what").max_length


class Prover:
    """Proves the orders of one relay."""

    def __init__(self) -> None:
        self.id = uuid4()
        self.proved: dict[UUID, datetime] = {}
        """Orders beyond the mark that were proved, with their ends."""

    def run(self) -> None:
        """Prove what has ended since the last pass, then state the days that are complete."""
        held = self.take_mark()
        if held is None:
            return
        mark, now = held
        waiting = self.prove_orders(find_ended(mark.proved_to, now), now)
        self.move_mark(mark, now, waiting)
        statements.state_days(mark.proved_to)
        measures.note_state()

    @transaction.atomic
    def take_mark(self) -> tuple[ProofMark, datetime] | None:
        """Hold the mark for this pass and return it with the database's time; None while another relay holds it."""
        mark = ProofMark.lock(make_mark)
        if mark is None:
            return None
        now = mark.look()
        if mark.holder != self.id:
            if mark.held_until and mark.held_until > now:
                return None
            # Another relay has proved meanwhile.
            self.proved.clear()
        mark.holder, mark.held_until = self.id, now + HOLD
        mark.save()
        return mark, now

    def prove_orders(self, ended: Sequence[tuple[UUID, datetime]], now: datetime) -> list[datetime]:
        """Prove those that were not; return when those ended that have to wait."""
        new = [pair for pair in ended if pair[0] not in self.proved]
        peers: dict[str, ServiceClient] = {name: ServiceClient(name, ASK_SECONDS) for name in ASKED}
        waiting: list[datetime] = []
        for pairs in split_chunks(new, audit.CHUNK):
            if len(peers) < len(ASKED):
                waiting += [at for _, at in pairs]
                continue
            waiting += self.prove_chunk(dict(pairs), peers, now)
        return waiting

    def prove_chunk(
        self, ends: Mapping[UUID, datetime], peers: dict[str, ServiceClient], now: datetime
    ) -> list[datetime]:
        orders = list(Order.objects.filter(pk__in=ends).prefetch_related("lines"))
        findings = audit.check_orders(orders, peers)
        if len(peers) < len(ASKED):
            unanswered = [each.what for each in findings if isinstance(each, audit.Unchecked)]
            log.warning("orders wait for their proof", orders=len(ends), reason="; ".join(unanswered))
            return [*ends.values()]
        broken: dict[UUID, list[str]] = {}
        for finding in findings:
            broken.setdefault(UUID(finding.order), []).append(finding.what)
        judged = now - timedelta(seconds=GRACE_SECONDS * settings.TIMES.scale)
        early = [order for order in broken if ends[order] > judged]
        record({order: broken[order] for order in broken.keys() - set(early)}, ends)
        self.proved |= {order: at for order, at in ends.items() if order not in early}
        return [ends[order] for order in early]

    def move_mark(self, mark: ProofMark, now: datetime, waiting: Sequence[datetime]) -> None:
        """Move the mark up to where time is settled and nothing waits."""
        oldest = min(waiting, default=None)
        to = min(mark.settled_to, oldest - MOMENT if oldest else now)
        mark.proved_to, mark.waits_since, mark.passed_at = max(mark.proved_to, to), oldest, fetch_now()
        moved = ProofMark.objects.filter(pk=1, holder=self.id)
        moved.update(proved_to=mark.proved_to, waits_since=oldest, passed_at=mark.passed_at)
        self.proved = {order: at for order, at in self.proved.items() if at > mark.proved_to}


def make_mark() -> ProofMark:
    """Return the mark of an installation of which nothing is proved: what ended before is for `order audit`."""
    now = fetch_now()
    return ProofMark(proved_to=now, settled_to=now)


def find_ended(since: datetime, now: datetime) -> list[tuple[UUID, datetime]]:
    """Return the orders that ended after a time, with their ends, the oldest first."""
    found = Order.objects.filter(ended_at__gt=since, ended_at__lte=now).order_by("ended_at")
    return [(pk, at) for pk, at in found.values_list("pk", "ended_at") if at]


def record(broken: Mapping[UUID, Sequence[str]], ends: Mapping[UUID, datetime]) -> None:
    """Write down what is broken; what was found before stays as it is."""
    rows = [
        BrokenPromise(order=order, ended_at=ends[order], what=what[:LONGEST])
        for order, found in broken.items()
        for what in found
    ]
    BrokenPromise.objects.bulk_create(rows, ignore_conflicts=True)
    for row in rows:
        log.error("a promise is broken", order=str(row.order), what=row.what)
