"""The log of a choreographed order's steps, derived from the events that were seen of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from celery_config.contracts.base import Command
from celery_config.contracts.payment import AuthorizePayment, CapturePayment, PaymentFailed
from celery_config.saga.causes import describe_cause
from celery_config.saga.course import Known
from celery_config.saga.flow_facts import Happening, HappeningKind
from celery_config.saga.states import StepState
from order_project.choreography.derivation import (
    ALL_DONE,
    ALL_UNDONE,
    EVENTS_OF_REFUSALS,
    EVENTS_OF_STEPS,
    RECEIVED,
    REFUSALS,
    RELEASED,
    Seen,
)
from order_project.models import Choreography, SeenEvent

FAILED = PaymentFailed.wire_name()
KINDS = (
    dict.fromkeys(ALL_DONE, HappeningKind.DONE)
    | dict.fromkeys(ALL_UNDONE, HappeningKind.UNDONE)
    | dict.fromkeys(REFUSALS, HappeningKind.REFUSED)
)


def read_logs(rows: Sequence[Choreography]) -> dict[UUID, dict[str, Known]]:
    """Return what is known of each step, by order and step, with one query for any number of orders."""
    seen: dict[UUID, dict[str, Any]] = {row.pk: {} for row in rows}
    times: dict[UUID, dict[str, datetime]] = {row.pk: {} for row in rows}
    found = SeenEvent.objects.filter(choreography__in=[row.pk for row in rows])
    for order, kind, content, at in found.values_list("choreography", "kind", "content", "at"):
        seen[order][kind], times[order][kind] = content, at
    return {row.pk: derive_log(seen[row.pk], times[row.pk], row.failure) for row in rows}


def read_happenings(row: Choreography) -> list[Happening]:
    """Return what was seen of an order, in words for people."""
    found = SeenEvent.objects.filter(choreography=row).values_list("kind", "content", "at")
    return [tell_event(kind, content, at) for kind, content, at in found]


def tell_event(kind: str, content: Mapping[str, Any], at: datetime) -> Happening:
    service, _, name = kind.partition(".")
    why = describe_cause(content, "", "") if "code" in content else ""
    text = name.replace("_", " ") + (f": {why}" if why else "")
    return Happening(at, service, KINDS.get(kind, HappeningKind.DECIDED), text)


def derive_log(
    seen: Seen, times: Mapping[str, datetime], failure: Mapping[str, Any] | None = None
) -> dict[str, Known]:
    """Return what the events say of each step, by the names that the services know the steps by.

    Args:
        times: when each event was seen, by its kind; empty where that does not matter.
        failure: why a service gave up last, with its `step`.
    """
    return {
        command.wire_name(): derive_step(command, seen, times, failure or {}) for command in EVENTS_OF_STEPS
    }


def derive_step(
    command: type[Command], seen: Seen, times: Mapping[str, datetime], failure: Mapping[str, Any]
) -> Known:
    done, *undone = EVENTS_OF_STEPS[command]
    known = find_known((done, *undone), seen)
    logged, refused = known.logged, find_refusal(command, seen)
    if command is CapturePayment and RELEASED in seen and logged is StepState.NOTHING:
        logged = StepState.UNDONE  # payment let go of the money: it will never take it
    if refused and logged is StepState.NOTHING:
        logged = StepState.REFUSED
    spoken = [times[kind] for kind in (done, *undone, refused) if kind in times]
    return Known(
        logged,
        known.reply,
        ran=done in seen,
        refusal=seen[refused] if refused else None,
        failure=failure if failure.get("step") == command.wire_name() else None,
        at=max(spoken, default=None),
    )


def find_known(kinds: tuple[str, ...], seen: Seen) -> Known:
    """Return what the events of one step say: that it is done, or undone."""
    done, *undone = kinds
    if seen.keys() & {*undone}:
        return Known(StepState.UNDONE, None)
    return Known(StepState.DONE, seen[done]) if done in seen else Known(StepState.NOTHING, None)


def find_refusal(command: type[Command], seen: Seen) -> str:
    """Return the kind of event that refused a step, if it was seen; payment's refusal may be of either of its steps."""
    if command in (AuthorizePayment, CapturePayment):
        meant = CapturePayment if RECEIVED in seen else AuthorizePayment
        return FAILED if FAILED in seen and command is meant else ""
    kind = EVENTS_OF_REFUSALS.get(command.wire_name(), "")
    return kind if kind in seen else ""
