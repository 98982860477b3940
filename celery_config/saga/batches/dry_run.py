"""The dry run of a batch: what the verb would do to each flow, by what each participant's barrier says now."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from uuid import UUID

from celery_config.common.grouping import join_some
from celery_config.errors import OperatorRefused
from celery_config.messaging.states import Action, Undo
from celery_config.saga.batches.models import BatchItem
from celery_config.saga.batches.states import ItemState
from celery_config.saga.course import Answer, Course, Held, Known
from celery_config.saga.engine.flows import WatchedFlow
from celery_config.saga.engine.unit_of_work import UnitOfWork
from celery_config.saga.operations import barrier_client, held_money
from celery_config.saga.operations.bulk_previews import name_ends
from celery_config.saga.operations.effects import describe_lost, find_lost
from celery_config.saga.operations.previews import decide_verb
from celery_config.saga.states import StepState

REASON_LENGTH = 300
MOVED = "it has moved since it was chosen"
GONE = "it is deleted: its time is over"
NOT_KNOWN, REFUSED = "not known", "refused"


def check_items(flow: WatchedFlow[Any, Any], verb: str, items: Sequence[BatchItem]) -> None:
    """Write on each item what the verb would do to its flow; nothing is saved.

    Args:
        items: at most as many as a participant tells of at once.
    """
    rows = {row.pk: row for row in flow.model._default_manager.filter(pk__in=[item.flow for item in items])}
    courses, faults = build_courses(flow, list(rows.values()))
    told = ask_participants(courses)
    proofs = [proof for pk in courses if (proof := flow.find_proof(rows[pk], told[pk]))]
    work = UnitOfWork.begin(flow, list(rows.values()), proofs)
    sums = held_money.read_money(flow, list(rows))
    for item in items:
        row = rows.get(item.flow)
        if row is None:
            set_aside(item, ItemState.LEFT, GONE)
            continue
        if money := sums.get(item.flow):
            item.money_state, item.currency, item.amount = money.state, money.currency, money.amount
        if item.flow in faults:
            set_aside(item, ItemState.REFUSED, faults[item.flow])
        elif has_moved(item, row):
            set_aside(item, ItemState.LEFT, MOVED)
        elif silent := [service for service, answer in told[item.flow].items() if answer is None]:
            set_aside(item, ItemState.LEFT, f"{join_some(silent, len(silent))} did not answer")
            item.would_be = NOT_KNOWN
        else:
            foresee(work, item, row, verb, courses[item.flow], told[item.flow])


def has_moved(item: BatchItem, row: Any) -> bool:
    """Whether something or somebody moved the flow since it was chosen."""
    return bool((row.status, row.since) != (item.seen_status, item.seen_since))


def set_aside(item: BatchItem, state: ItemState, reason: str) -> None:
    item.state, item.reason = state.value, reason[:REASON_LENGTH]
    item.would_be = REFUSED if state is ItemState.REFUSED else ""


def build_courses(
    flow: WatchedFlow[Any, Any], rows: Sequence[Any]
) -> tuple[dict[UUID, Course], dict[UUID, str]]:
    """Return the course of each row, and why others have none."""
    logs = flow.read_logs(rows)
    courses: dict[UUID, Course] = {}
    faults: dict[UUID, str] = {}
    for row in rows:
        try:
            courses[row.pk] = flow.build_course(row, logs.get(row.pk, {}))
        except OperatorRefused as refusal:
            faults[row.pk] = str(refusal)
    return courses, faults


def ask_participants(courses: Mapping[UUID, Course]) -> dict[UUID, dict[str, Answer]]:
    """Ask each participant once about all flows that it takes part in; return its answers, by flow and service."""
    asked: dict[str, list[UUID]] = {}
    for pk, course in courses.items():
        for service in {step.command.service for step in course.steps}:
            asked.setdefault(service, []).append(pk)
    if not asked:
        return {}
    with ThreadPoolExecutor(len(asked)) as threads:
        answers = threads.map(barrier_client.read_barriers_of_many, asked.keys(), asked.values())
        found = dict(zip(asked, answers, strict=True))
    return {pk: collect(pk, asked, found) for pk in courses}


def collect(
    pk: UUID,
    asked: Mapping[str, Collection[UUID]],
    found: Mapping[str, Mapping[UUID, Mapping[str, Held]] | None],
) -> dict[str, Answer]:
    """Return what each participant of one flow says of it."""
    said: dict[str, Answer] = {}
    for service, ids in asked.items():
        if pk in ids:
            answer = found[service]
            said[service] = None if answer is None else answer.get(pk, {})
    return said


def learn(course: Course, answers: Mapping[str, Answer]) -> Course:
    """Return the course as the barriers know it: the saga log is a hint, and they are the truth."""
    log = dict(course.log)
    for step in course.steps:
        held = (answers.get(step.command.service) or {}).get(step.name)
        known = log.get(step.name, Known(StepState.NOTHING, None))
        state = read_state(held) if held else StepState.NOTHING
        if state.rank > known.logged.rank:
            log[step.name] = replace(known, logged=state, ran=known.ran or state is StepState.DONE)
    return replace(course, log=log)


def read_state(held: Held) -> StepState:
    """Return what a barrier row proves of a step; an open call proves nothing."""
    if held.undo is Undo.DONE or held.action is Action.TOMBSTONE:
        return StepState.UNDONE
    if held.action is Action.INTENT or held.undo is Undo.INTENT:
        return StepState.NOTHING
    return StepState.REFUSED if held.action is Action.REFUSED else StepState.DONE


def foresee(
    work: UnitOfWork[Any, Any],
    item: BatchItem,
    row: Any,
    verb: str,
    logged: Course,
    answers: Mapping[str, Answer],
) -> None:
    """Write on an item whose flow has not moved how it would end, and what must be done first."""
    course = learn(logged, answers)
    try:
        refused, decision = decide_verb(work, row, verb, course)
        branches = work.flow.list_branches(row, decision.send, course) if decision.send else []
    except OperatorRefused as refusal:
        refused, branches = str(refusal), []
    if refused:
        set_aside(item, ItemState.REFUSED, refused)
    else:
        item.state, item.would_be = ItemState.CHECKED.value, name_ends(branches)
        item.reason = describe_lost(find_lost(logged, answers))[:REASON_LENGTH]
