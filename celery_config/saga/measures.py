"""What the database says of flows and of saga time, for Prometheus and for the page of what moves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta

from celery import current_app
from django.conf import settings
from django.db.models import Count, Min, Q
from prometheus_client import Metric

from celery_config.broker import cluster
from celery_config.broker.publisher import broker_errors
from celery_config.common.metrics import read_gauge
from celery_config.common.services import PARTICIPANTS
from celery_config.db import functions, writes
from celery_config.messaging.observations import read_observations
from celery_config.saga.dsl import find_saga
from celery_config.saga.engine import hindrances
from celery_config.saga.engine.flows import flows
from celery_config.saga.engine.standstill import WorkerCheck
from celery_config.saga.models import DeadLetter, SagaClock, SagaInstance, SagaPause, WatchedRow
from celery_config.saga.operations.services import QUEUES_SEEN, list_queues
from celery_config.saga.states import OPEN, Status
from celery_config.saga.sums.reading import read_last_minute

# A relay ticks every second.
TICK_SECONDS = 15.0
NO_RELAY, NO_WRITES = "no relay", "database takes no writes"
SHOWN = 5
# The relay looks every ten seconds.
QUEUES_FRESH_SECONDS = 60.0


def measure_flows() -> Iterator[Metric]:
    """Flows of every kind together."""
    now = functions.fetch_now()
    counts: Counter[str] = Counter()
    overdue = late = 0
    for flow in flows.values():
        unended = flow.model._default_manager.filter(status__in=[*OPEN, Status.PARKED]).order_by()
        counts.update(dict(unended.values_list("status").annotate(n=Count("pk"))))
        overdue += unended.filter(status=Status.PARKED, answer_by__lt=now).count()
        late += unended.filter(flow.open_too_long(now)).count()
    yield read_gauge(
        "order_saga_sagas",
        "Sagas that have not ended, by status.",
        {str(status): counts[status] for status in (*OPEN, Status.PARKED)},
        "status",
    )
    yield read_gauge(
        "order_saga_parked_overdue", "Parked sagas whose owner has not decided in time.", overdue
    )
    yield read_gauge(
        "order_saga_open_past_deadline",
        "Sagas that have been open for longer than their deadline, by the clock on the wall.",
        late,
    )


def measure_dead_letters() -> Iterator[Metric]:
    yield read_gauge(
        "order_saga_dead_letters_open",
        "Dead letters that no operator has dealt with.",
        DeadLetter.objects.filter(dealt_with_at__isnull=True).count(),
    )


def measure_time() -> Iterator[Metric]:
    now = functions.fetch_now()
    clock = SagaClock.objects.first()
    causes, seconds = find_standstill(clock, now)
    yield read_gauge(
        "order_saga_time_standing_seconds",
        "How long saga time has been standing, by cause; without a cause it runs.",
        dict.fromkeys(causes or [""], seconds),
        "cause",
    )
    yield read_gauge(
        "order_saga_due_age_seconds",
        "How long the most overdue saga has been waiting for the watchdog; it rises while saga time stands.",
        compute_due_age(clock, now),
    )


def measure_last_minute() -> Iterator[Metric]:
    counts = read_last_minute(functions.fetch_now())
    yield read_gauge(
        "order_saga_began_in_last_minute",
        "Sagas that began in the last whole minute, by name.",
        counts["began"],
        "saga",
    )
    yield read_gauge(
        "order_saga_ended_in_last_minute",
        "Sagas that ended in the last whole minute, by name.",
        counts["ended"],
        "saga",
    )


def measure_queues() -> Iterator[Metric]:
    """The queues as the relay saw them last; nothing if that is long ago: it does not see the broker."""
    seen = read_observations()
    fresh = functions.fetch_now() - timedelta(seconds=QUEUES_FRESH_SECONDS)
    queues = [each for each in list_queues(seen) if seen[QUEUES_SEEN].at >= fresh]
    yield read_gauge(
        "order_saga_queue_messages",
        "Messages of a queue that no worker has taken yet.",
        {each.queue: each.messages for each in queues if each.messages is not None},
        "queue",
    )
    yield read_gauge(
        "order_saga_queue_workers",
        "Workers that take messages of a queue.",
        {each.queue: each.consumers for each in queues},
        "queue",
    )


def find_standstill(clock: SagaClock | None, now: datetime) -> tuple[list[str], float]:
    """Return why saga time stands and for how many seconds; no cause: it runs."""
    if clock is None:
        return [], 0.0
    silent = (now - clock.ticked_at).total_seconds()
    causes = clock.stands_for.split(", ") if clock.stands_since else []
    if silent > TICK_SECONDS:
        causes.append(NO_WRITES if writes.find_refusal() else NO_RELAY)
    since = clock.stands_since or clock.ticked_at
    return causes, (now - since).total_seconds() if causes else 0.0


def read_standstill() -> tuple[SagaClock | None, list[str], float]:
    """Return the clock, why saga time stands, and for how many seconds; no cause: it runs."""
    clock = SagaClock.objects.annotate(real=functions.Now()).first()
    return clock, *(find_standstill(clock, clock.real) if clock else ([], 0.0))


def compute_due_age(clock: SagaClock | None, now: datetime) -> float:
    """Seconds since the most overdue flow was due, or would have been if saga time did not stand."""
    dues = [
        flow.model._default_manager.filter(due_at__isnull=False).aggregate(at=Min("due_at"))["at"]
        for flow in flows.values()
    ]
    oldest = min(filter(None, dues), default=None)
    if clock is None or oldest is None:
        return 0.0
    stood = now - (clock.stands_since or clock.ticked_at)
    waited: timedelta = clock.now + stood - oldest
    return max(0.0, waited.total_seconds())


def describe_row(row: WatchedRow) -> str:
    """Title and id; the title of a choreographed order has its id already."""
    return str(row) if str(row.pk) in str(row) else f"{row} {row.pk}"


def describe_standstill() -> str:
    """Since when saga time stands, and why, for people; empty: it runs."""
    clock, causes, seconds = read_standstill()
    if clock is None or not causes:
        return ""
    since = f"{clock.stands_since or clock.ticked_at:%Y-%m-%d %H:%M:%S} UTC"
    return f"it stands since {since} ({seconds:.0f} s): {', '.join(causes)}"


def check_saga_time() -> str:
    _, causes, seconds = read_standstill()
    return f"stands for {seconds:.0f} s: {', '.join(causes)}" if causes else "ok: it runs"


def check_participants() -> str:
    """Whether each service has a worker on its commands."""
    check = WorkerCheck(current_app._get_current_object())
    try:
        missing = check.find_missing()
    except broker_errors(check.app) as error:
        return f"unknown: the broker does not say ({type(error).__name__})"
    finally:
        check.close()
    return f"without a worker: {', '.join(missing)}" if missing else "ok"


def check_hindrances() -> str:
    """What participants say of their own trouble; one that does not answer says so itself."""
    told = hindrances.ask_participants(PARTICIPANTS)
    return "; ".join(f"{name}: {text}" for name, text in told.items() if text != hindrances.NO_ANSWER) or "ok"


def check_queues() -> str:
    """Members of queues and waiting dead letters, where RabbitMQ's management API is known."""
    if not settings.BROKER_API:
        return ""
    try:
        faults = cluster.find_faults(settings.BROKER_API)
    except cluster.BrokerApiError as error:
        return f"unknown: {error}"
    return "; ".join(faults) or "ok"


def check_pauses() -> str:
    return "; ".join(str(pause) for pause in SagaPause.objects.order_by("since")) or "ok"


def check_definitions() -> str:
    """Empty as a rule: sagas that no definition here knows; only a warning while a newer worker may know them."""
    unended = SagaInstance.objects.filter(status__in=[*OPEN, Status.PARKED]).order_by()
    counted = unended.values_list("name", "version").annotate(
        n=Count("pk"), parked=Count("pk", Q(status=Status.PARKED))
    )
    unknown = [row for row in counted if find_saga(row[0], row[1]) is None]
    if not unknown:
        return ""
    found = ", ".join(f"{n} of {name} version {version}" for name, version, n, _ in sorted(unknown))
    warning = "" if any(parked for *_, parked in unknown) else "warning: "
    return f"{warning}no definition here knows these open sagas, so nothing drives them: {found}"


def check_deadlines() -> str:
    """What has been open for longer than its deadline, by the clock on the wall: only a warning."""
    now, found = functions.fetch_now(), list[str]()
    for flow in flows.values():
        late = flow.model._default_manager.filter(flow.open_too_long(now))
        found += [describe_row(row) for row in late.order_by("pk")[: SHOWN + 1]]
    if not found:
        return "ok"
    more = " and more" if len(found) > SHOWN else ""
    return f"warning: open for longer than its deadline: {', '.join(found[:SHOWN])}{more}"
