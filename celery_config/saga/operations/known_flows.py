"""What is known of the steps of one participant, flow by flow: the proof by which it recovers from an older backup."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

from rest_framework.exceptions import ValidationError

from celery_config.contracts.base import Command, contract_fields
from celery_config.errors import OperatorRefused
from celery_config.saga.course import Course, read_fields
from celery_config.saga.dsl import Step
from celery_config.saga.engine.flows import WatchedFlow, flows
from celery_config.saga.models import WatchedRow

PAGE = 200
PLACE = "^([0-9]+-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})?$"
"""The number of a kind of flows and the last id."""


def read_page(service: str, after: str) -> dict[str, Any]:
    """A page of flows of all kinds, oldest first, each with the participant's steps.

    Args:
        after: the `next` of the page before: the number of the kind and the last id.
    """
    kinds = list(flows.values())
    number, last = parse_place(after, len(kinds))
    flow = kinds[number]
    rows = list(flow.model._default_manager.filter(pk__gt=last).order_by("pk")[:PAGE])
    if len(rows) == PAGE:
        following = f"{number}-{rows[-1].pk}"
    else:
        following = f"{number + 1}-{UUID(int=0)}" if number + 1 < len(kinds) else ""
    found = [known for row in rows if (known := describe(flow, row, service))]
    return {"flows": found, "next": following}


def parse_place(after: str, kinds: int) -> tuple[int, UUID]:
    number, _, last = (after or f"0-{UUID(int=0)}").partition("-")
    try:
        place = int(number), UUID(last)
    except ValueError as error:
        raise ValidationError({"after": "pass the `next` of the page before"}) from error
    if not 0 <= place[0] < kinds:
        raise ValidationError({"after": "pass the `next` of the page before"})
    return place


def describe(flow: WatchedFlow[Any, Any], row: WatchedRow, service: str) -> dict[str, Any] | None:
    """The participant's steps of one flow; None if it has none, or this code does not know the row's version."""
    try:
        course = flow.find_course(row)
    except OperatorRefused:
        return None
    steps = [
        {
            "step": step.name,
            "command": step.command.wire_name(),
            "logged": course.log[step.name].logged if step.name in course.log else "",
            "reply": course.log[step.name].reply if step.name in course.log else None,
            "fields": dict(find_fields(course, step.command)),
        }
        for step in course.steps
        if step.command.service == service
    ]
    if not steps:
        return None
    return {"saga": row.pk, "order": str(row.subject), "name": row.name, "status": row.status, "steps": steps}


def find_fields(course: Course, command: type[Command]) -> Iterator[tuple[str, Any]]:
    """The fields of a command, as far as the flow's data and the steps' replies have them.

    A reply counts for the fields of its contract alone: its service may have put those of others into it.
    """
    sources = [course.data, *(list_replied(course, step) for step in course.steps)]
    for field in contract_fields(command):
        if source := next((each for each in sources if field.name in each), None):
            yield field.name, source[field.name]


def list_replied(course: Course, step: Step) -> Mapping[str, Any]:
    reply = read_fields(course.log[step.name].reply) if step.name in course.log else {}
    names = {field.name for field in contract_fields(step.command.done)}
    return {name: value for name, value in reply.items() if name in names}
