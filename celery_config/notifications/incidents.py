"""Incidents: what the looks find is opened, refreshed and closed, and each rule's next message is written, once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Q

from celery_config.common.conditions import Condition
from celery_config.db import functions
from celery_config.db.functions import Now
from celery_config.notifications.deciding import LOOKS_UNTIL_OVER, Past, Standing, find_due, is_settled
from celery_config.notifications.models import (
    LONGEST_CAUSE,
    LONGEST_SENTENCE,
    Delivery,
    Incident,
    Message,
    NotificationRule,
    Outcome,
)

log = structlog.get_logger(__name__)
LOOK_SECONDS = 10.0
Key = tuple[str, str]


def compute_look_seconds() -> float:
    """Return how often the notifier looks, in seconds."""
    return float(settings.TIMES.period(LOOK_SECONDS))


def follow(found: Mapping[str, Sequence[Condition]], *, every: Collection[str]) -> None:
    """Open, refresh and close incidents by what was found.

    Args:
        found: by source; a source that could not look is missing, and none of its incidents is closed.
        every: all sources that there are: incidents of others are over.
    """
    now = functions.fetch_now()
    opened = {(each.kind, each.cause): each for each in Incident.objects.filter(over_at__isnull=True)}
    seen: set[Key] = set()
    for source, conditions in found.items():
        for condition in conditions:
            key = (condition.kind.value, condition.cause[:LONGEST_CAUSE])
            if key in seen:
                continue
            seen.add(key)
            if key in opened:
                refresh(opened[key], condition)
            else:
                open_incident(source, condition, now)
    last_seen_before = now - timedelta(seconds=LOOKS_UNTIL_OVER * compute_look_seconds())
    gone = [
        each.pk
        for key, each in opened.items()
        if key not in seen
        and (each.source in found or each.source not in every)
        and each.last_seen_at < last_seen_before
    ]
    if gone:
        over = Incident.objects.filter(pk__in=gone, over_at__isnull=True)
        over.filter(last_seen_at__lt=last_seen_before).update(over_at=Now())


def open_incident(source: str, condition: Condition, now: datetime) -> None:
    """Open an incident, unless another process has just done so."""
    incident = Incident(
        source=source,
        kind=condition.kind,
        cause=condition.cause[:LONGEST_CAUSE],
        tell_at=now + timedelta(seconds=condition.patience),
        first_seen_at=now,
        last_seen_at=now,
        **list_fields(condition),
    )
    Incident.objects.bulk_create([incident], ignore_conflicts=True)


def refresh(incident: Incident, condition: Condition) -> None:
    Incident.objects.filter(pk=incident.pk, over_at__isnull=True).update(
        last_seen_at=Now(), **list_fields(condition)
    )


def list_fields(condition: Condition) -> dict[str, Any]:
    """What an incident keeps of a condition as it is now."""
    facts: dict[str, Any] = {
        "money": [
            {"state": each.state, "currency": each.currency, "amount": each.amount}
            for each in condition.money
        ],
        "since": condition.since.isoformat() if condition.since else None,
        "due": condition.due.isoformat() if condition.due else None,
        "advice": condition.advice,
        "also": [each.value for each in condition.also],
    }
    return {
        "severity": condition.severity,
        "sentence": condition.sentence[:LONGEST_SENTENCE],
        "link": condition.link,
        "count": condition.count,
        "facts": {name: value for name, value in facts.items() if value},
    }


def write_deliveries(incidents: Iterable[Incident] | None = None) -> None:
    """Write the next message of each incident for each rule.

    Args:
        incidents: by default all about which something may still be said.
    """
    rules = list(NotificationRule.objects.all())
    if incidents is None:
        incidents = Incident.objects.filter(settled=False)
    unsettled = list(incidents)
    if not unsettled:
        return
    now, past = functions.fetch_now(), read_past(unsettled)
    new, settled = list[Delivery](), []
    for incident in unsettled:
        standing = Standing(
            incident.tell_at, incident.acknowledged_at is not None, incident.over_at is not None
        )
        pasts = [past.get((incident.pk, rule.pk), Past()) for rule in rules if rule.enabled]
        if is_settled(standing, pasts):
            settled.append(incident.pk)
            continue
        for rule in rules:
            due = rule.enabled and find_due(
                standing,
                past.get((incident.pk, rule.pk), Past()),
                wanted=rule.wants(incident.kinds, incident.severity),
                repeat_seconds=rule.repeat_seconds,
                now=now,
            )
            if due:
                new.append(
                    Delivery(
                        incident=incident,
                        rule=rule,
                        target=rule.target[:500],
                        message=due.message,
                        number=due.number,
                    )
                )
    with transaction.atomic():
        Delivery.objects.bulk_create(new, ignore_conflicts=True)
        Incident.objects.filter(pk__in=settled).update(settled=True)


def read_past(incidents: Sequence[Incident]) -> dict[tuple[Any, Any], Past]:
    """Return what each rule was sent of each of these incidents."""
    past: dict[tuple[Any, Any], Past] = {}
    rows = Delivery.objects.filter(Q(incident__in=incidents), rule__isnull=False)
    for row in rows.values_list("incident_id", "rule_id", "message", "number", "outcome", "created_at"):
        incident, rule, message, number, outcome, created_at = row
        before = past.get((incident, rule), Past())
        past[incident, rule] = Past(
            opened_at=created_at if message == Message.OPENED else before.opened_at,
            was_told=before.was_told or outcome == Outcome.SENT,
            waits=before.waits or outcome == Outcome.DUE,
            repeats=max(before.repeats, number),
            has_over=before.has_over or message == Message.OVER,
        )
    return past
