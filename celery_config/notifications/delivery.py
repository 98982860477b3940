"""Deliveries: each message is claimed by one process, sent, and tried again until it arrives or is given up."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, Max, Min
from django.utils import timezone

from celery_config.common import metrics
from celery_config.common.conditions import Amount
from celery_config.common.services import ORCHESTRATOR
from celery_config.db.functions import Now
from celery_config.errors import clean_text
from celery_config.notifications import channels
from celery_config.notifications.channels import SendFailed
from celery_config.notifications.deciding import find_delay
from celery_config.notifications.models import (
    LONGEST_ERROR,
    Channel,
    Delivery,
    Message,
    NotificationRule,
    Outcome,
)
from celery_config.notifications.texts import TEST, Notice
from celery_config.web.elsewhere import admin_url

log = structlog.get_logger(__name__)
CLAIM = timedelta(seconds=90)
"""Longer than one sending takes: a process that dies meanwhile leaves its message to another."""
NO_RULE = "its rule was deleted"
OFF = "its rule is switched off"


def send_next(incidents: Collection[UUID] | None = None) -> bool:
    """Send one message that is due; return whether there was one.

    Args:
        incidents: only a message of these; by default of all.
    """
    delivery = claim(incidents)
    if delivery:
        send(delivery)
    return delivery is not None


def claim(incidents: Collection[UUID] | None = None) -> Delivery | None:
    """Take a message that is due, so that no other process sends it for a while; None: none is due.

    A message that is given up in between, as by a process that was killed, is due again after `CLAIM`.
    """
    due = Delivery.objects.filter(outcome=Outcome.DUE, next_at__lte=Now())
    if incidents is not None:
        due = due.filter(incident__in=incidents)
    with transaction.atomic():
        skip = connection.features.has_select_for_update_skip_locked
        found = due.select_for_update(skip_locked=skip).order_by("next_at", "id").first()
        if found is None:
            return None
        Delivery.objects.filter(pk=found.pk).update(next_at=Now() + CLAIM, attempts=F("attempts") + 1)
    return Delivery.objects.select_related("incident", "rule").get(pk=found.pk)


def find_wait(longest: float) -> float:
    """Return in how many seconds the next message is due, at most `longest`."""
    first = Delivery.objects.filter(outcome=Outcome.DUE).aggregate(at=Min("next_at"), now=Max(Now()))
    if first["at"] is None:
        return longest
    seconds: float = (first["at"] - first["now"]).total_seconds()
    return min(longest, max(0.0, seconds))


def send(delivery: Delivery) -> None:
    """Send a claimed message and write down what became of it."""
    rule = delivery.rule
    try:
        if rule is None:
            raise SendFailed(NO_RULE, final=True)
        if not rule.enabled and delivery.message != Message.TEST:
            raise SendFailed(OFF, final=True)
        notice, name = make_notice(delivery, rule), f"msg_{delivery.pk.hex}"
        if rule.channel == Channel.EMAIL:
            channels.send_email(rule.emails, notice, name)
        else:
            channels.send_webhook(rule.url, rule.secret, notice, name)
    except SendFailed as error:
        note_failure(delivery, str(error), final=error.final)
    except Exception as error:  # whatever it was, the others are sent, and this one is tried again
        log.exception("a notification cannot be sent", delivery=str(delivery.pk))
        note_failure(delivery, f"{type(error).__name__}: {error}", final=False)
    else:
        update(delivery, outcome=Outcome.SENT, sent_at=Now(), next_at=None, error="")
        log.info("a notification is sent", delivery=str(delivery.pk), message=delivery.message)


def note_failure(delivery: Delivery, error: str, *, final: bool) -> None:
    """Write down why a message was not accepted, and when it is tried again."""
    # Somebody waits for the outcome of a test.
    delay = None if final or delivery.message == Message.TEST else find_delay(delivery.attempts)
    metrics.NOTIFICATIONS_FAILED.labels(delivery.rule.channel if delivery.rule else "none").inc()
    log.warning(
        "a notification is not accepted", delivery=str(delivery.pk), error=error, again=delay is not None
    )
    error = clean_text(error, limit=LONGEST_ERROR)
    if delay is None:
        update(delivery, outcome=Outcome.FAILED, next_at=None, error=error)
    else:
        wait = timedelta(seconds=delay * settings.TIMES.scale)
        update(delivery, next_at=Now() + wait, error=error)


def update(delivery: Delivery, **fields: Any) -> None:
    Delivery.objects.filter(pk=delivery.pk).update(**fields)


def make_notice(delivery: Delivery, rule: NotificationRule) -> Notice:
    """Return what a message says now: a repeat, and a late one, tell the present count."""
    incident, now = delivery.incident, timezone.now()
    if incident is None:
        return Notice(message=delivery.message, now=now, sentence=TEST.format(rule=rule.name))
    facts = incident.facts
    return Notice(
        message=delivery.message,
        number=delivery.number,
        now=now,
        sentence=incident.sentence,
        advice=facts.get("advice", ""),
        severity=incident.severity,
        kind=incident.kind,
        cause=incident.cause,
        incident=str(incident.pk),
        count=incident.count,
        money=[Amount(**each) for each in facts.get("money", [])],
        since=read_optional_time(facts.get("since")) or incident.first_seen_at,
        due=read_optional_time(facts.get("due")),
        over_at=incident.over_at if delivery.message == Message.OVER else None,
        acknowledged_by=incident.acknowledged_by,
        link=incident.link,
        page=admin_url(ORCHESTRATOR, f"notifications/incident/{incident.pk}/change/"),
        repeat_seconds=rule.repeat_seconds,
    )


def read_optional_time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


@metrics.prepare_at_start
def prepare_metrics() -> None:
    metrics.prepare_labels(metrics.NOTIFICATIONS_FAILED, [*Channel.values, "none"])


def send_test(rule: NotificationRule) -> Delivery:
    """Send a test by this rule now, and return what became of it. It is not tried again."""
    delivery = Delivery.objects.create(
        rule=rule, target=rule.target[:500], message=Message.TEST, attempts=1, next_at=Now() + CLAIM
    )
    send(delivery)
    return Delivery.objects.get(pk=delivery.pk)


def send_again(deliveries: Collection[Delivery]) -> int:
    """Let messages that were given up be sent again; return how many."""
    chosen = Delivery.objects.filter(
        pk__in=[each.pk for each in deliveries], outcome=Outcome.FAILED, rule__isnull=False
    )
    return chosen.update(outcome=Outcome.DUE, attempts=0, next_at=Now())
