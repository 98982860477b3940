"""Conditions of flows, of which somebody is told: parked, overdue, held money, dead letters, saga time. Pure reads.

One condition for each cause: flows of all kinds that wait for the same are one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.apps import apps
from django.conf import settings
from django.db.models import Count, Min
from django.urls import reverse
from django.utils import timezone

from celery_config.common.conditions import Amount, Condition, ConditionKind, Severity
from celery_config.common.grouping import group_by
from celery_config.common.services import ORCHESTRATOR, SERVICES
from celery_config.saga.admin.parked import get_group_url
from celery_config.saga.admin.widgets import count_rows
from celery_config.saga.causes import CauseKind
from celery_config.saga.course import find_expiry
from celery_config.saga.dead_letters.reading import MOST_COUNTED, read_groups
from celery_config.saga.engine.flows import flows
from celery_config.saga.engine.standstill import BROKER
from celery_config.saga.holds.reading import count_held_flows
from celery_config.saga.holds.steering import list_open
from celery_config.saga.measures import NO_RELAY, read_standstill
from celery_config.saga.operations import approvals, overview
from celery_config.saga.operations.acts import name_act
from celery_config.saga.operations.advice import advise
from celery_config.saga.operations.held_money import HELD, read_money
from celery_config.saga.operations.overview import Waiting
from celery_config.saga.operations.wording import capitalize, end_sentence
from celery_config.saga.states import Status
from celery_config.web.board import find_list
from celery_config.web.columns import get_page_url

UNKNOWN = "not known"
NOT_KNOWN = "it is not known what is wrong"
MEND_LETTERS = (
    "Mostly a release is wrong, or missing on one side: take it back, or deploy it. Then drive the flows, or send the"
    " letters again; dismiss those whose orders have ended."
)
MOST_READ = 500
"""Of a kind: parked flows are read one by one for the end of their holds, those first that have waited longest."""
START_WORKER = (
    "Start it: ./manage.py {service} worker; its log says why it ended. If it runs and does nothing, kill it first: no"
    " message is lost."
)
STANDING_PATIENCE = 30.0
"""In seconds at a scale of one: a relay or worker that is restarted is not told of."""


def is_any_parked() -> bool:
    """Whether anything waits for a decision: mostly nothing does, and then the larger questions are not asked."""
    return any(flow.model._default_manager.filter(status=Status.PARKED).exists() for flow in flows.values())


def find_parked() -> Iterator[Condition]:
    """What waits for a decision, by cause."""
    if not is_any_parked():
        return
    for cause, some in group_by(name_cause, overview.read_waiting()).items():
        due = min((each.group.answer_by for each in some if each.group.answer_by), default=None)
        yield Condition(
            kind=ConditionKind.PARKED,
            cause=cause,
            sentence=end_sentence(f"{tell_waiting(some)} for a decision: {cause}"),
            advice=advise(cause),
            link=find_link(some),
            # A database that was set back loses more with each order.
            severity=Severity.PAGE if CauseKind.LOST in cause else Severity.TICKET,
            count=sum(each.group.count for each in some),
            money=[Amount(m.state, m.currency, m.amount) for each in some for m in each.money],
            due=due,
        )


def name_cause(waiting: Waiting) -> str:
    return waiting.group.fingerprint or UNKNOWN


def tell_waiting(some: Sequence[Waiting]) -> str:
    """Return "1 saga waits", or "2 sagas and 1 choreographed order wait"."""
    return tell_flows(((each.group.kind, each.group.count) for each in some), "waits", "wait")


def tell_flows(counts: Iterable[tuple[str, int]], one: str, several: str) -> str:
    """Return "1 saga waits", or "2 sagas and 1 choreographed order wait".

    Args:
        counts: of each kind, by the label of its model.
        one: the verb for one.
        several: the verb for more.
    """
    by_kind = sorted(counts, key=lambda each: -each[1])
    told = " and ".join(count_rows(apps.get_model(kind), count) for kind, count in by_kind)
    return f"{told} {one if sum(count for _, count in by_kind) == 1 else several}"


def find_link(some: Sequence[Waiting]) -> str:
    """Return the address of the page of these: that of one kind, or of all that is parked."""
    page = get_group_url(some[0].group) if len(some) == 1 else reverse("admin:saga_parkedsaga_changelist")
    return make_link(page)


def make_link(page: str) -> str:
    """Return the whole address of a page of this service's admin."""
    return f"{settings.PUBLIC_URLS[ORCHESTRATOR]}{page}"


def find_overdue() -> Iterator[Condition]:
    """What was not decided in time, by cause; and what has been on its way for longer than its deadline."""
    now = timezone.now()
    rows = [
        {**row, "kind": flow.model._meta.label}
        for flow in flows.values()
        for row in count_overdue(flow.model, now)
    ]
    waiting = group_by(name_cause, overview.read_waiting()) if rows else {}
    links = {cause: find_link(some) for cause, some in waiting.items()}
    for cause, some in group_by(lambda row: row["fingerprint"] or UNKNOWN, rows).items():
        counts = [(row["kind"], row["n"]) for row in some]
        first = min(row["first"] for row in some)
        yield Condition(
            kind=ConditionKind.OVERDUE,
            cause=cause,
            sentence=end_sentence(f"{tell_flows(counts, 'waits', 'wait')} for an overdue decision: {cause}"),
            advice=advise(cause),
            link=links.get(cause) or make_link(reverse("admin:saga_parkedsaga_changelist")),
            count=sum(count for _, count in counts),
            since=first,
            due=first,
        )
    opened = {
        flow.model._meta.label: flow.model._default_manager.filter(flow.open_too_long(now)).count()
        for flow in flows.values()
    }
    late = [(kind, count) for kind, count in opened.items() if count]
    if late:
        yield Condition(
            kind=ConditionKind.OVERDUE,
            cause="open past deadline",
            sentence=f"{tell_flows(late, 'has', 'have')} been on the way for longer than the deadline, by the clock on"
            " the wall.",
            advice="Open the oldest of them on the board: its page says what it waits for.",
            link=make_link(reverse("admin:index")),
            severity=Severity.TICKET,
            count=sum(count for _, count in late),
            patience=15 * 60 * settings.TIMES.scale,
        )


def count_overdue(model: Any, now: datetime) -> Iterable[dict[str, Any]]:
    overdue = model._default_manager.filter(status=Status.PARKED, answer_by__lt=now).order_by()
    counted: Iterable[dict[str, Any]] = overdue.values("fingerprint").annotate(
        n=Count("pk"), first=Min("answer_by")
    )
    return counted


def find_ending_holds() -> Iterator[Condition]:
    """Money that the provider lets go soon, or has let go, while its flow is parked; by what parked it."""
    if not is_any_parked():
        return
    soon = timezone.now() + timedelta(hours=settings.HOLD_NOTICE_HOURS)
    found: list[tuple[str, datetime, Amount | None]] = []
    for flow in flows.values():
        if flow.money is None:
            continue
        rows = list(
            flow.model._default_manager.filter(status=Status.PARKED)
            .filter(flow.money.held)
            .order_by("since")[:MOST_READ]
        )
        ends = read_ends_of_holds(flow, rows)
        ending = [row for row in rows if row.pk in ends and ends[row.pk] <= soon]
        amounts = read_money(flow, [row.pk for row in ending])
        for row in ending:
            held = amounts.get(row.pk)
            if held is None or held.state == HELD:  # what is taken ends no more
                amount = Amount(held.state, held.currency, held.amount) if held else None
                found.append((row.fingerprint or UNKNOWN, ends[row.pk], amount))
    for cause, some in group_by(lambda each: each[0], found).items():
        first = min(at for _, at, _ in some)
        amounts_held = [amount for _, _, amount in some if amount]
        yield Condition(
            kind=ConditionKind.HOLD_ENDING,
            cause=cause,
            sentence=end_sentence(
                f"The payment provider lets held money go while {len(some):,} wait for a decision: {cause}"
            ),
            advice=advise(cause),
            link=make_link(reverse("admin:saga_parkedsaga_changelist")),
            count=len(some),
            money=add_up(amounts_held),
            due=first,
        )


def read_ends_of_holds(flow: Any, rows: Sequence[Any]) -> dict[UUID, datetime]:
    """Return when the first hold of each row ends, as far as the log knows it."""
    logs = flow.read_logs(rows) if rows else {}
    ends = {}
    for row in rows:
        known = logs.get(row.pk, {}).values()
        expiries = [at for each in known if (at := find_expiry(each.reply))]
        if expiries:
            ends[row.pk] = min(expiries)
    return ends


def add_up(amounts: Iterable[Amount]) -> list[Amount]:
    """Return the sums for each state and currency."""
    alike = group_by(lambda each: (each.state, each.currency), amounts)
    return [Amount(*key, sum(each.amount for each in some)) for key, some in sorted(alike.items())]


def find_lasting_holds() -> Iterator[Condition]:
    """Holds of which no operator lets go yet, one condition for each. They are told after `HELD_TOO_LONG_HOURS`."""
    holds = [hold for hold in list_open() if hold.per_second is None]
    counted = count_held_flows() if holds else {}
    for hold in holds:
        count = counted.get(hold.pk, 0)
        waiting = "1 flow waits" if count == 1 else f"{count:,} flows wait"
        yield Condition(
            kind=ConditionKind.HELD,
            cause=f"hold {hold.pk}",
            sentence=f"{capitalize(hold.label)} is held, and no operator lets it go: {waiting}.",
            advice="Let go of it once what it was held for is mended.",
            link=make_link(find_list("holds_hold", ended_at__isempty=1)),
            count=count,
            since=hold.since,
            patience=settings.HELD_TOO_LONG_HOURS * 3600,
        )


def find_requests() -> Iterator[Condition]:
    """What one person asks for and another one decides about, one for each; over once it is decided or expired."""
    for asked in approvals.find_open():
        yield Condition(
            kind=ConditionKind.REQUEST,
            cause=f"request {asked.pk}",
            sentence=f"“{name_act(asked.act)}” waits for the approval of another person.",
            advice="Read what is asked for, and approve or decline it; otherwise it expires.",
            link=make_link(get_page_url(asked)),
            severity=Severity.TICKET,
            since=asked.asked_at,
            due=asked.expires_at,
        )


def find_dead_letters() -> Iterator[Condition]:
    """Dead letters that no operator has dealt with, by their groups."""
    # All of them: what is the smallest may be new.
    for group in read_groups(MOST_COUNTED):
        task = f" of {group.task}" if group.task else ""
        letters = "1 dead letter" if group.count == 1 else f"{group.count:,} dead letters"
        link = find_list("saga_deadletter", fingerprint=group.fingerprint, dealt_with_at__isempty=1)
        yield Condition(
            kind=ConditionKind.DEAD_LETTER,
            cause=f"{group.task} {group.fault}",
            sentence=end_sentence(f"{letters}{task}: {group.fault or NOT_KNOWN}"),
            advice=MEND_LETTERS,
            link=make_link(link),
            severity=Severity.TICKET,
            count=group.count,
            since=group.first_at,
        )


def find_standing() -> Iterator[Condition]:
    """Saga time that stands; when no relay runs, that is what is told: a dead relay and standing time are one cause."""
    clock, causes, seconds = read_standstill()
    if clock is None or not causes:
        return
    since = timezone.now() - timedelta(seconds=seconds)
    patience = STANDING_PATIENCE * settings.TIMES.scale
    link = make_link(reverse("admin:index"))
    if NO_RELAY in causes:
        yield Condition(
            kind=ConditionKind.RELAY,
            cause=ORCHESTRATOR,
            sentence="The order service's relay is dead: no message is sent, and saga time stands, so that no order is"
            " driven or stopped by its deadline.",
            advice="Start it: ./manage.py order relay; its log says why it ended.",
            link=link,
            since=since,
            patience=patience,
            also=[ConditionKind.STANDING],
        )
        return
    told = [f"{cause} has no worker" if cause in SERVICES else f"the {cause}" for cause in causes]
    told = [f"{each} does not answer" if each == f"the {BROKER}" else each for each in told]
    mends = [START_WORKER.format(service=cause) for cause in causes if cause in SERVICES]
    yield Condition(
        kind=ConditionKind.STANDING,
        cause=", ".join(causes),
        sentence=f"{capitalize(' and '.join(told))}: orders wait. Saga time stands, so no order is driven, or stopped"
        " by its deadline.",
        advice=" ".join(mends)
        or "Start the broker, or free its disk or memory: what waits is sent by itself.",
        link=link,
        since=since,
        patience=patience,
        also=[ConditionKind.NO_CONSUMER if {*causes} & {*SERVICES} else ConditionKind.SERVICE],
    )
