"""The notifier's heartbeat: it writes when it has looked; the order service's relay and pages read how long ago.

The relay is the peer that notices the notifier's death, and tells of it by the same deliveries. That both are dead only
Prometheus notices.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta

from prometheus_client import Metric

from celery_config.common.conditions import Condition, ConditionKind
from celery_config.common.metrics import read_gauge
from celery_config.common.moments import format_span
from celery_config.common.services import ORCHESTRATOR
from celery_config.db import functions
from celery_config.db.functions import Now
from celery_config.messaging.observations import find_age, note
from celery_config.notifications.delivery import send_next
from celery_config.notifications.incidents import compute_look_seconds, follow, write_deliveries
from celery_config.notifications.looking import INCIDENTS_PAGE, NOTIFIER, list_sources
from celery_config.notifications.models import Delivery, Incident, Outcome
from celery_config.web.elsewhere import admin_url

LOOKS_MISSED = 6
"""It counts as dead when it has missed so many looks."""
LATELY = timedelta(days=3)


def beat() -> None:
    """Write down that the notifier has looked, and that its sending goes on."""
    note(NOTIFIER, {})


def find_silence() -> float | None:
    """Return how many seconds ago the notifier looked last; None: it never did."""
    return find_age(NOTIFIER)


def compute_limit() -> float:
    """Return after how many seconds of silence the notifier counts as dead."""
    return LOOKS_MISSED * compute_look_seconds()


def check_notifier() -> str:
    """For `/readyz` and `/flowz`: only a warning, since orders go on without it."""
    return describe_silence(find_silence())


def describe_silence(silence: float | None) -> str:
    """Say whether a notifier that looked so many seconds ago lives; None: it never looked."""
    if silence is None:
        return "warning: no notifier has ever run, so no message is sent"
    if silence > compute_limit():
        return f"warning: the notifier is dead: its last look was {silence:.0f} s ago"
    return "ok"


def measure_notifier() -> Iterator[Metric]:
    silence = find_silence()
    yield read_gauge(
        "order_saga_notifier_silent_seconds",
        "How long ago the notifier looked last; +Inf: it never did.",
        float("inf") if silence is None else silence,
    )
    given_up = Delivery.objects.filter(outcome=Outcome.FAILED, created_at__gt=Now() - LATELY)
    yield read_gauge(
        "order_saga_notifications_given_up",
        "Notifications of the last three days that could not be sent, and are not tried again.",
        given_up.count(),
    )
    unseen = Incident.objects.filter(over_at__isnull=True, acknowledged_at__isnull=True)
    yield read_gauge(
        "order_saga_incidents_open", "Incidents that stand and are not acknowledged.", unseen.count()
    )


class NotifierWatch:
    """Whether the notifier lives; a duty of the relay, which tells of its death by itself."""

    def __init__(self) -> None:
        self.began = time.monotonic()

    def look(self) -> None:
        """If the notifier is dead, open the incident, and send its messages and no others."""
        silence = find_silence()
        # After a start of the whole system the last look is old, and the notifier starts beside us.
        ours = time.monotonic() - self.began
        if min(ours, ours if silence is None else silence) < compute_limit():
            return
        follow({NOTIFIER: [make_dead(silence)]}, every=list_sources())
        incidents = list(Incident.objects.filter(kind=ConditionKind.NOTIFIER, settled=False))
        write_deliveries(incidents)
        while send_next([each.pk for each in incidents]):
            pass


def make_dead(silence: float | None) -> Condition:
    """Return the condition that the notifier is dead.

    Args:
        silence: seconds since its last look; None: it never ran.
    """
    since = functions.fetch_now() - timedelta(seconds=silence) if silence is not None else None
    what = f"has not looked for {format_span(timedelta(seconds=silence))}" if silence else "has never run"
    return Condition(
        kind=ConditionKind.NOTIFIER,
        cause=ORCHESTRATOR,
        sentence=f"The notifier {what}, so this is the only thing that anybody is told of: start it"
        " (./manage.py order notifier).",
        link=admin_url(ORCHESTRATOR, INCIDENTS_PAGE),
        since=since,
    )
