"""Daily statements: what was proved of each day (UTC), once all its orders are proved."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta

import structlog
from django.db.models import Max

from celery_config.messaging.observations import read_observations
from celery_config.saga.operations.services import ServiceHealth, list_services
from order_project.models import Order
from order_project.proof.models import BrokenPromise, DailyStatement

log = structlog.get_logger(__name__)
DAY = timedelta(days=1)
BOOKS, COPIES = "books", "copies"
EQUAL = "equal"


def state_days(proved_to: datetime) -> None:
    """Write the statements of the days that are proved and have none yet; the first is that of the first order."""
    last = DailyStatement.objects.aggregate(day=Max("day"))["day"]
    day = last + DAY if last else find_first_day(proved_to)
    while day is not None and make_midnight(day + DAY) <= proved_to:
        state_day(day)
        day += DAY


def find_first_day(proved_to: datetime) -> date | None:
    """The day before which nothing was proved: an installation that is older begins with yesterday."""
    first = (
        Order.objects.filter(ended_at__isnull=False).order_by("ended_at").values_list("ended_at", flat=True)
    )
    found = first.first()
    return max(found.astimezone(UTC).date(), (proved_to - DAY).astimezone(UTC).date()) if found else None


def state_day(day: date) -> None:
    begin, end = make_midnight(day), make_midnight(day + DAY)
    of_day = {"ended_at__gte": begin, "ended_at__lt": end}
    services = list_services(read_observations())
    made = DailyStatement(
        day=day,
        orders=Order.objects.filter(**of_day).count(),
        violations=BrokenPromise.objects.filter(**of_day).values("order").distinct().count(),
        books=describe(services, BOOKS),
        copies=describe(services, COPIES),
    )
    DailyStatement.objects.bulk_create([made], ignore_conflicts=True)
    log.info(
        "a day is proved", day=str(day), orders=made.orders, violations=made.violations, books=made.books
    )


def describe(services: Iterable[ServiceHealth], check: str) -> str:
    """Say what the services' own checks say last of their books, or of their copies."""
    told = {each.service: each.says[check] for each in services if each.says.get(check)}
    faults = [f"{service}: {text}" for service, text in told.items() if not text.startswith("ok")]
    return "; ".join(faults)[:200] or (EQUAL if told else "not known")


def make_midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
