"""Guarantees of a saga, checked against the participants' ground truth and never against the saga log alone."""

from __future__ import annotations

from collections.abc import Collection

from celery_config.messaging.states import Action, Undo
from celery_config.saga.states import Status
from celery_config.saga.testing.orchestrator import Orchestrator
from celery_config.saga.testing.participant_state import ParticipantState, Violation


def check_after(saga: Orchestrator, states: Collection[ParticipantState]) -> None:
    """Check the guarantees that hold after every move.

    Raises:
        Violation: a guarantee is broken.
    """
    live = [state.effects for state in states]
    pivot_ran = undone = False
    for state in states:
        pivot_ran |= state.is_pivot and state.effects > 0
        undone |= state.ever_undone
    if pivot_ran and undone:
        raise Violation("the pivot was done, and a step before it undone")
    if saga.status is Status.COMPLETED and not all(live):
        raise Violation(f"the saga is completed, but not done: {join_names(states, live=False)}")
    if saga.status is Status.COMPENSATED and any(live):
        raise Violation(f"the saga is compensated, but still there: {join_names(states, live=True)}")


def check_at_the_end(
    saga: Orchestrator,
    states: Collection[ParticipantState],
    *,
    may_park: Collection[str],
    may_be_settled: bool = False,
) -> None:
    """Check the guarantees that hold when nothing is under way any more.

    Args:
        may_park: the steps whose own failure, or whose undo's, may last.
        may_be_settled: whether something that an operator let go may have done the work for which the saga is parked.

    Raises:
        Violation: a guarantee is broken.
    """
    if saga.status is Status.PARKED:
        check_parked(saga, states, may_park, may_be_settled=may_be_settled)
    else:
        check_providers(states)


def check_providers(states: Collection[ParticipantState]) -> None:
    for state in states:
        ours = state.row is not None and state.row.action is Action.DONE and state.row.undo is not Undo.DONE
        if state.outside and not state.set_back and ours != (state.provider == "live"):
            raise Violation(
                f"{state.name} is {state.provider or 'unknown'} at its provider, but its barrier says otherwise"
            )


def check_parked(
    saga: Orchestrator,
    states: Collection[ParticipantState],
    may_park: Collection[str],
    *,
    may_be_settled: bool,
) -> None:
    if any(state.set_back for state in states):
        return
    pivot_ran = saga.saga.only_forward() or any(state.is_pivot and state.live for state in states)
    stuck = any(state.name in may_park and is_stuck(state, pivot_ran) for state in states)
    if not stuck and not may_be_settled:
        raise Violation("the saga is parked, although nothing that is left failed for long")
    if saga.repaired:
        raise Violation("the saga is parked, although what failed was repaired and it was tried again")
    left = [s.name for s in states if s.live and s.name not in may_park]
    if left and not pivot_ran:
        raise Violation(f"the saga is parked, and {', '.join(left)} could have been undone")


def is_stuck(state: ParticipantState, pivot_ran: bool) -> bool:
    """Whether work is left: past the pivot the step itself, before it the undo of a possible effect."""
    if pivot_ran:
        return not state.compensatable and not state.live
    in_doubt = state.row is not None and state.row.action is Action.INTENT
    return state.compensatable and (state.live or in_doubt)


def join_names(states: Collection[ParticipantState], *, live: bool) -> str:
    return ", ".join(state.name for state in states if state.live is live)
