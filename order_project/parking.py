"""Parked choreographed orders: what parked them, what was to be done, and what is known of it (rule 25)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from celery_config.saga.engine import parking
from celery_config.saga.operations.effects import Course, Known
from celery_config.saga.states import StepState
from order_project import domain
from order_project.models import Choreography
from order_project.sagas.place_order import PlaceOrder

NAME = "place-order (choreographed)"
CONTRADICTED = "payment said that it has taken the money, and that it has let go of it"
Seen = Mapping[str, Mapping[str, Any]]


def park(row: Choreography, seen: Seen) -> None:
    """Give the locked `row`, which has just been parked, what its page needs; the caller saves it.

    Args:
        seen: the contents of the events, by kind.
    """
    contradicted = domain.is_contradicted(seen)
    why = CONTRADICTED if contradicted else f"said {row.attempt} times again without coming to an end"
    row.cause = {**row.cause, "parked": why}
    if contradicted:
        parking.assign(row, f"{NAME}: {why}")
    elif row.failure:
        parking.assign(row, parking.given_up(NAME, row.failure["step"], row.failure), held_until(seen))
    else:
        parking.assign(row, f"{NAME}: no word of {domain.next_of(seen)}", held_until(seen))


def held_until(seen: Seen) -> list[datetime]:
    """When the money is let go of by its holder, while it is neither taken nor given back."""
    at = seen.get(domain.RECEIVED, {}).get("expires_at")
    return (
        [datetime.fromisoformat(at)] if at and not seen.keys() & {domain.COLLECTED, domain.RELEASED} else []
    )


def course_of(row: Choreography) -> Course:
    """Return the steps, by the names that the services know them by, and what was seen of them.

    They are those of `place-order`; only who asks for them differs.
    """
    seen = {each.kind: each.content for each in row.seen.all()}
    steps = [replace(step, name=step.command.wire_name()) for step in PlaceOrder.steps]
    return Course(steps, row.placed, {step.name: known(domain.SEEN_OF[step.command], seen) for step in steps})


def known(kinds: tuple[str, ...], seen: Seen) -> Known:
    """What the events of one step say: that it is done, or undone."""
    done, *undone = kinds
    if seen.keys() & {*undone}:
        return Known(StepState.UNDONE, None)
    return Known(StepState.DONE, seen[done]) if done in seen else Known(StepState.NOTHING, None)
