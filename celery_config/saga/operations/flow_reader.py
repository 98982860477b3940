"""Reads the facts of flows from the order service's own database; the participants are not asked.

A handful of queries for any number of rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils import timezone

from celery_config.common.grouping import group_by
from celery_config.common.money import money
from celery_config.errors import OperatorRefused
from celery_config.messaging.holds.hold_list import read_holds
from celery_config.messaging.holds.targets import KnownHold
from celery_config.saga.course import Course, Known
from celery_config.saga.dsl import Step
from celery_config.saga.engine import step_tries
from celery_config.saga.engine.flows import WatchedFlow, find_flow
from celery_config.saga.faults import list_steps
from celery_config.saga.flow_facts import FlowFacts, StepFacts, Try
from celery_config.saga.models import SagaClock, WatchedRow
from celery_config.saga.operations.effects import make_effect
from celery_config.saga.states import Status


def read_flow(row: WatchedRow) -> FlowFacts:
    """Return what the order service knows of a flow: three queries."""
    return read_flows([row])[row.pk]


def read_flows(
    rows: Sequence[Any], *, money: bool = True, clock: SagaClock | None = None
) -> dict[UUID, FlowFacts]:
    """Return what the order service knows of these flows, by id: two queries, and one for each kind of flow.

    Args:
        clock: saga time, if it is read already: a query less.
        money: whether the steps say what they move, which is half of the work.
    """
    if not rows:
        return {}
    clock, now = clock or SagaClock.objects.first(), timezone.localtime()
    holds = {hold.id: hold for hold in read_holds()} if any(row.hold for row in rows) else {}
    tries = step_tries.read_tries([row.pk for row in rows])
    facts: dict[UUID, FlowFacts] = {}
    for model, alike in group_by(type, rows).items():
        flow = find_flow(model)
        logs = flow.read_logs(alike)
        for row in alike:
            log, tried = logs.get(row.pk, {}), tries.get(row.pk, ())
            found = gather_facts(flow, row, log, tried, clock, now, money=money)
            facts[row.pk] = describe_hold(found, row, holds.get(row.hold), clock) if row.hold else found
    return facts


def gather_facts(
    flow: WatchedFlow[Any, Any],
    row: Any,
    log: Mapping[str, Known],
    tries: Sequence[Try],
    clock: SagaClock | None,
    now: datetime,
    *,
    money: bool,
) -> FlowFacts:
    try:
        course = flow.build_course(row, log)
        fault = course.fault
    except OperatorRefused as refusal:
        course, fault = Course((), {}, log), str(refusal)
    started_at, ended_at = flow.find_times(row)
    return FlowFacts(
        noun=flow.find_noun(row),
        status=Status(row.status),
        steps=describe_steps(course) if money else list_steps(course),
        now=now,
        cause=row.cause,
        fault=fault,
        choreographed=bool(flow.event_flow),
        started_at=started_at,
        ended_at=ended_at,
        deadline_at=to_wall_time(row.deadline_at, clock, now),
        due_at=to_wall_time(row.due_at, clock, now),
        drives=row.drives,
        sent=row.attempt,
        line="" if row.fingerprint.startswith(f"{row.name}: ") else row.fingerprint,
        owner=row.owner,
        answer_by=row.answer_by,
        stands_for=clock.stands_for if clock else "",
        tries=tries,
    )


def describe_hold(facts: FlowFacts, row: Any, hold: KnownHold | None, clock: SagaClock | None) -> FlowFacts:
    """Return the facts with what holds the flow; a hold that has just ended is not known by name."""
    told = f"{hold.label} is held by {hold.by}: {hold.why}" if hold else "it is being let go"
    return replace(facts, held=told, held_since=to_wall_time(row.held_since, clock, facts.now))


def describe_steps(course: Course) -> list[StepFacts]:
    """Return the facts of the steps, with the money that they move."""
    pairs = zip(course.steps, list_steps(course), strict=True)
    return [replace(facts, **describe_money(step, course)) for step, facts in pairs]


def describe_money(step: Step, course: Course) -> dict[str, Any]:
    known = course.log.get(step.name)
    effect = make_effect(step, course.data, (known and known.reply) or {}, doubtful=False, reason="")
    amount = money(effect.amount, effect.currency) if effect.amount is not None and effect.currency else ""
    return {"amount": amount, "expires_at": effect.expires_at}


def to_wall_time(at: datetime | None, clock: SagaClock | None, now: datetime) -> datetime | None:
    """Return when a saga time comes, if saga time runs from now on."""
    return now + (at - clock.now) if at and clock else at
