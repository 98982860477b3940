"""Writes the sums: whole minutes are counted again until no transaction can add to them, and replaced.

So a look may be repeated at any time. Several relays take turns by the lock of the mark. The mark and the sums are one
transaction, so a crash or a restored backup leaves them together as they were. Nothing is written for an order.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Min, Q, Sum
from django.db.models.functions import TruncHour
from django.utils import timezone

from celery_config.messaging.retention import BATCH, delete_batch
from celery_config.saga.engine.flows import flows
from celery_config.saga.models import FlowSum, SumMark
from celery_config.saga.sums.counting import Group, count_flow

MINUTE, HOUR = 60, 3600
SUM_SECONDS = 10.0
# What a first look sums up; the pages show no more.
REACHES_BACK = timedelta(days=8)
# Minutes that an open transaction keeps from being final are counted again for so long in each look.
RECENT = timedelta(minutes=10)
MINUTES_KEPT = timedelta(days=2)
MOMENT = timedelta(microseconds=1)


def sum_up() -> None:
    """Sum up all that began and ended since the last look."""
    while sum_next():
        pass


@transaction.atomic
def sum_next() -> bool:
    """Sum up what became final, at most an hour, then what is recent; return whether more became final."""
    mark = SumMark.lock(make_mark)
    if mark is None:
        return False
    now = mark.look()
    settled = floor_minute(mark.settled_to)
    final = min(settled, floor_hour(mark.summed_to) + timedelta(hours=1))
    if final > mark.summed_to:
        replace_sums(mark.summed_to, final)
        mark.summed_to = final
    mark.save()
    if mark.summed_to < settled:
        return True
    recent = max(mark.summed_to, floor_minute(now - RECENT))
    replace_sums(recent, floor_minute(now) + timedelta(minutes=1))
    return False


def make_mark() -> SumMark:
    """Return the mark of an installation of which nothing is summed up."""
    begin = find_beginning()
    return SumMark(summed_to=begin, settled_to=begin)


def find_beginning() -> datetime:
    """The hour of the first flow, as far as sums reach back."""
    began = [flow.model._default_manager.aggregate(at=Min(flow.times.began))["at"] for flow in flows.values()]
    now = timezone.now()
    first = max(min(filter(None, began), default=now), now - REACHES_BACK)
    return floor_hour(first)


def replace_sums(begin: datetime, end: datetime) -> None:
    """Count the minutes from `begin` to before `end`, and the hours that they are in."""
    counts: Counter[Group] = Counter()
    for flow in flows.values():
        counts += count_flow(flow, begin, end)
    write_sums(MINUTE, begin, end, counts)
    first, last = floor_hour(begin), floor_hour(end - MOMENT) + timedelta(hours=1)
    minutes: Any = FlowSum.objects.filter(seconds=MINUTE, at__gte=first, at__lt=last)
    summed = minutes.values_list(TruncHour("at"), "flow", "kind", "key", "bucket").annotate(n=Sum("count"))
    write_sums(HOUR, first, last, Counter({Group(*group): n for *group, n in summed}))


def write_sums(seconds: int, begin: datetime, end: datetime, counts: Counter[Group]) -> None:
    """Replace the sums of a time; without a write if they are the same."""
    rows: Any = FlowSum.objects.filter(seconds=seconds, at__gte=begin, at__lt=end)
    fields = ("at", "flow", "kind", "key", "bucket", "count")
    known = {Group(*group): (pk, n) for pk, *group, n in rows.values_list("pk", *fields)}
    wrong = [pk for group, (pk, n) in known.items() if counts[group] != n]
    if wrong:
        FlowSum.objects.filter(pk__in=wrong).delete()
    FlowSum.objects.bulk_create(
        FlowSum(seconds=seconds, **vars(group), count=n)
        for group, n in counts.items()
        if group not in known or known[group][1] != n
    )


@transaction.atomic
def sum_again(since: datetime) -> None:
    """Let the next look count again what began or ended since then; for rows that are written with an earlier time."""
    hour = floor_hour(max(since, timezone.now() - REACHES_BACK))
    for mark in SumMark.objects.select_for_update().filter(summed_to__gt=hour):
        mark.summed_to = hour
        mark.save(update_fields=["summed_to"])


def delete_old_sums(batch: int = BATCH) -> bool:
    """Delete a batch of minutes and hours past their time; return whether there may be more."""
    now = timezone.now()
    hours = Q(seconds=HOUR, at__lt=now - timedelta(days=settings.SAGA_RETENTION_DAYS))
    # An hour is counted from its minutes, so those of hours that are not final stay.
    final = SumMark.objects.filter(pk=1).values_list("summed_to", flat=True).first() or now
    minutes = Q(seconds=MINUTE, at__lt=min(now, final) - MINUTES_KEPT)
    full = [delete_batch(FlowSum, old, "at", batch) for old in (minutes, hours)]
    return any(full)


def floor_minute(at: datetime) -> datetime:
    return at.replace(second=0, microsecond=0)


def floor_hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)
