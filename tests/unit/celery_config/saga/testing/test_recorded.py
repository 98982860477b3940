"""What is kept of a real saga becomes a schedule that ends as the saga did."""

from __future__ import annotations

import pytest

from celery_config.saga.engine.plan import Operation
from celery_config.saga.states import Status, StepState
from celery_config.saga.testing.recorded import RecordedCourse, make_schedule
from tests.trip import Trip

DONE, UNDONE, REFUSED = StepState.DONE, StepState.UNDONE, StepState.REFUSED


@pytest.mark.parametrize(
    ("status", "stopped_by", "steps", "given_up"),
    [
        ("completed", "", {"hotel": DONE, "flight": DONE, "charge": DONE, "ticket": DONE}, {}),
        ("compensated", "no_seat", {"hotel": UNDONE, "flight": REFUSED}, {}),
        ("compensated", "cancelled", {"hotel": UNDONE}, {}),
        ("compensated", "cancelled", {}, {}),
        ("compensated", "deadline_passed", {"hotel": DONE}, {}),
        ("compensated", "step_failed", {"hotel": UNDONE}, {"flight": Operation.DO}),
        ("parked", "no_seat", {"hotel": DONE, "flight": REFUSED}, {"hotel": Operation.UNDO}),
        ("parked", "", {"hotel": DONE, "flight": DONE, "charge": DONE}, {"ticket": Operation.DO}),
        ("compensated", "no_seat", {"hotel": UNDONE, "flight": REFUSED}, {"hotel": Operation.UNDO}),
    ],
)
def test_it_ends_as_the_saga_did(
    status: str, stopped_by: str, steps: dict[str, StepState], given_up: dict[str, Operation]
) -> None:
    course = RecordedCourse(Status(status), stopped_by, steps, given_up)
    schedule = make_schedule(Trip, course)
    outcome = schedule.play()
    assert (outcome.status, outcome.violation) == (status, "")
    found: dict[str, object] = {}
    exec(f"{schedule.as_test(ends=status)}\ntest_a_schedule_of_trip()", found)
    assert found["Trip"] is Trip
