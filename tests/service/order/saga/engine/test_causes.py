"""A failed step is no cause: what its participant said of it is, whichever of the two comes first."""

from __future__ import annotations

from typing import Any

import pytest

from celery_config.saga.engine import refusals, runner, step_log
from celery_config.saga.engine.machine import StepFailed
from celery_config.saga.states import StepState
from tests.service.order.conftest import Placed

pytestmark = pytest.mark.django_db
STEP = "reserve-stock"
REFUSAL = {"code": "out_of_stock", "reason": "too few: 85123A"}
FAILED = {"step": STEP, "code": "step_failed", "reason": f"{STEP} failed"}


def fail(placed: Placed) -> None:
    """As its errback does."""
    runner.handle_triggers({placed.saga_id: StepFailed(STEP, "do")}, {placed.saga_id: FAILED})


def refuse(placed: Placed) -> None:
    """As its event does."""
    step_log.merge_entries([step_log.LoggedStep(placed.saga_id, STEP, StepState.REFUSED, REFUSAL)])
    refusals.explain_stopped([placed.saga_id])


@pytest.mark.parametrize("course", [(fail, refuse), (refuse, fail)])
def test_a_refusal_is_the_cause_as_soon_as_both_are_here(placed: Placed, course: Any) -> None:
    for happen in course:
        happen(placed)
    assert (placed.saga.status, placed.saga.cause) == ("stopping", {"step": STEP, **REFUSAL})


def test_a_wish_to_cancel_stays_the_cause(placed: Placed) -> None:
    runner.request_stop(placed.saga_id, code="cancelled", reason="cancelled by ada")
    refuse(placed)
    assert placed.saga.cause["code"] == "cancelled"


def test_tries_are_counted_over_all_drives_and_have_a_time(placed: Placed) -> None:
    unknown = {"code": "unknown_outcome", "reason": "answered 500: broken"}
    for tries in (5, 5):
        refusals.record_failure(placed.saga_id, "authorize-payment", "undo", {**unknown, "tries": tries})
    kept = placed.saga.steps.get(name="authorize-payment").failure
    assert kept is not None
    assert {"operation": "undo", **unknown, "times": 10}.items() <= kept.items()
    refusals.record_failure(placed.saga_id, "authorize-payment", "do", unknown)
    step = placed.saga.steps.get(name="authorize-payment")
    assert step.failure is not None
    assert (step.failure["times"], "at" in step.failure, step.refusal) == (1, True, unknown)
