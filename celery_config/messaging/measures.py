"""What the database says of the outbox and of its own recovery, for Prometheus and for the page of what moves."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from django.conf import settings
from django.db.models import Count, Min
from django.utils.translation import ngettext
from prometheus_client import Metric

from celery_config.common.metrics import read_gauge
from celery_config.db.functions import Now
from celery_config.messaging import epochs, trouble
from celery_config.messaging.flow_control.gate import read_rate
from celery_config.messaging.holds.releasing import count_held_messages
from celery_config.messaging.models import Contradiction
from celery_config.messaging.observations import find_age
from celery_config.messaging.outbox.publishing import due_rows
from celery_config.messaging.outbox.relay import oldest_unpublished_seconds
from celery_config.messaging.outbox.set_aside import count_set_aside

# A relay that hangs or is stuck is seen soon; the alert, which wakes people, waits longer.
RELAY_LAG_LIMIT = 8.0
RELAY_SEEN = "relay"
NO_RELAY = "no relay runs"
LIFE_SECONDS = 10.0
"""So often a relay writes down that it lives."""
LONGEST_SILENCE = 60.0
CONTRADICTED_LATELY = timedelta(days=1)


def measure_outbox() -> Iterator[Metric]:
    yield read_gauge(
        "order_saga_outbox_age_seconds",
        "How long the oldest unpublished outbox row could have been sent.",
        oldest_unpublished_seconds(),
    )
    yield read_gauge(
        "order_saga_outbox_set_aside",
        "Outbox rows that cannot be sent and wait for an operator.",
        count_set_aside(),
    )
    yield read_gauge(
        "order_saga_messages_held",
        "Messages that wait in the outbox, since an operator holds what they ask for.",
        count_held_messages(),
    )


def measure_pace() -> Iterator[Metric]:
    yield read_gauge(
        "order_saga_calls_per_second_limit",
        "How many calls a second to the provider or carrier may begin now; 0: any number.",
        read_rate(),
    )


def count_contradictions() -> int:
    """Count the events from outside of the last day that contradict our rows and are not dealt with."""
    lately = Contradiction.objects.filter(received_at__gt=Now() - CONTRADICTED_LATELY)
    return lately.filter(dealt_with_at__isnull=True).count()


def measure_contradictions() -> Iterator[Metric]:
    yield read_gauge(
        "order_saga_contradictions",
        "Events from outside in the last 24 h that contradict our rows and are not dealt with.",
        count_contradictions(),
    )


def check_contradictions() -> str:
    """Only a warning, and empty as a rule: everything moves, and somebody must compare."""
    count = count_contradictions()
    if not count:
        return ""
    events = ngettext("%(count)d event", "%(count)d events", count) % {"count": count}
    # It is read on the order service's board, too.
    where = f"Contradictions in {settings.SERVICE}'s admin"
    return f"warning: {events} from outside in 24 h against what we know; see {where}"


def measure_trouble() -> Iterator[Metric]:
    yield read_gauge(
        "order_saga_trouble_seconds",
        "How long messages have been kept from moving by the service itself, by cause; 0 without it.",
        trouble.measure_seconds(),
        "cause",
    )


def measure_recovery() -> Iterator[Metric]:
    yield read_gauge(
        "order_saga_recovering",
        "Whether clients are refused because the database was restored and the recovery is not done.",
        epochs.is_recovering(),
    )


def check_relay() -> str:
    lag = oldest_unpublished_seconds()
    if lag < RELAY_LAG_LIMIT:
        silence = find_silence()
        if silence > settings.TIMES.period(LONGEST_SILENCE):
            return f"{NO_RELAY}: none has been seen for {silence:.0f} s"
        return f"ok: {lag:.1f} s behind"
    return f"late: {lag:.0f} s behind: {describe_late()}"


def find_silence() -> float:
    """Return how many seconds ago a relay showed last that it lives; 0: none has run here yet."""
    return find_age(RELAY_SEEN) or 0.0


def describe_late() -> str:
    """Which messages are not sent: a single route, or row, may be at fault while all others move."""
    late = due_rows().filter(due_at__lte=Now() - timedelta(seconds=RELAY_LAG_LIMIT))
    routes = late.order_by().values_list("route").annotate(n=Count("pk"), name=Min("name"))[:2]
    if len(routes) != 1:
        return "messages of several routes are not sent; the broker takes none, or the relay does not run"
    ((route, count, name),) = routes
    to = f" to {route}" if route else ""
    text = ngettext(
        "%(count)d message%(to)s (%(name)s) is not sent; nothing takes it there, or the relay does not run",
        "%(count)d messages%(to)s (%(name)s) are not sent; nothing takes them there, or the relay does not run",
        count,
    )
    return text % {"count": count, "to": to, "name": name}


def check_recovery() -> str:
    """Empty as a rule: only a database that was restored is recovered."""
    if not epochs.is_recovering():
        return ""
    return f"the database was restored, and ./manage.py {settings.SERVICE} recover is not done"


def check_set_aside() -> str:
    count = count_set_aside()
    if not count:
        return "ok"
    rows = ngettext("%(count)d row", "%(count)d rows", count) % {"count": count}
    return f"{rows} cannot be sent; the admin's page Messages to send says why"
