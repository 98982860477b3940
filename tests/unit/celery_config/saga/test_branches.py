"""A verb's preview has every way in which it may go, with its condition and its end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from celery_config.saga.branches import Branch, branch_drive, branch_stop
from celery_config.saga.faults import describe_step
from celery_config.saga.states import Status, StepState
from tests.unit.celery_config.saga.operations.test_explanation import ERASURE_STEPS, ORDER_STEPS

STEPS = [describe_step(step, None) for step in ORDER_STEPS]
UNDOS = ["cancel the shipment", "release the stock", "void the payment"]
AFTER = ["commit the stock", "dispatch the shipment"]
UNDONE = "everything is undone, and the order is cancelled"


def test_a_stop_depends_on_whether_the_pivot_ran() -> None:
    assert branch_stop(STEPS, "order", fenced=False) == [
        Branch(
            "if payment did not capture the payment, and now never will", UNDOS, UNDONE, Status.COMPENSATED
        ),
        Branch("if payment did capture the payment", AFTER, "the order is finished", Status.COMPLETED),
    ]


def test_a_stop_whose_pivot_is_known_to_have_run_has_one_end() -> None:
    done = [replace(s, logged=StepState.DONE) if s.name != "dispatch" else s for s in STEPS]
    assert branch_stop(done, "order", fenced=False) == [
        Branch(
            "payment did capture the payment, so nothing is undone any more",
            ["dispatch the shipment"],
            "the order is finished",
            Status.COMPLETED,
        )
    ]


def test_a_stop_whose_pivot_is_out_of_question_has_one_end() -> None:
    refused = [replace(s, logged=StepState.REFUSED) if s.name == "book" else s for s in STEPS]
    assert branch_stop(refused, "order", fenced=True) == [Branch("", UNDOS[1:], UNDONE, Status.COMPENSATED)]


@pytest.mark.parametrize("known", [StepState.UNDONE, StepState.REFUSED])
def test_a_stop_whose_pivot_is_known_not_to_run_has_one_end(known: StepState) -> None:
    fenced = [replace(s, logged=known) if s.name == "capture" else s for s in STEPS]
    assert branch_stop(fenced, "order", fenced=False) == [Branch("", UNDOS, UNDONE, Status.COMPENSATED)]


def test_a_drive_may_still_be_refused_before_the_pivot_and_never_after_it() -> None:
    done = [replace(s, logged=StepState.DONE) if s.name != "dispatch" else s for s in STEPS]
    drive = Branch(
        "if every service does its part", ["dispatch the shipment"], "the order is finished", Status.COMPLETED
    )
    assert branch_drive(done, "order", undoable=True)[0] == drive
    assert branch_drive(done, "order", undoable=True)[1].end == UNDONE
    assert "nothing is undone any more" in branch_drive(done, "order", undoable=False)[1].end


def test_what_only_goes_forward_names_what_is_missing() -> None:
    steps = [describe_step(step, None) for step in ERASURE_STEPS]
    assert branch_drive(steps, "erasure", undoable=False)[0].does == [
        "forget the payer", "forget the buyer", "forget the recipient",
    ]  # fmt: skip
