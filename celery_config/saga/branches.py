"""Branches of a verb: what becomes of a flow, by what its participants find when the messages come to them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from celery_config.saga.dsl import StepKind
from celery_config.saga.flow_facts import StepFacts, find_pivot
from celery_config.saga.states import Status, StepState

CLOSED = (StepState.REFUSED, StepState.UNDONE)


@dataclass(frozen=True)
class Branch:
    """One way in which it may go."""

    condition: str
    """When it goes so; empty: always."""
    does: list[str]
    """What the services are asked for, one after the other."""
    end: str
    after: Status
    """The status that it comes to."""


def branch_stop(steps: Sequence[StepFacts], noun: str, *, fenced: bool) -> list[Branch]:
    """Return the branches of a stop: before anything is undone, the pivot's service says whether it ran.

    Args:
        fenced: whether that service has said already that it did not.
    """
    undone = [s.undo_phrase for s in reversed(steps) if s.undo_phrase and s.logged not in CLOSED]
    end = f"everything is undone, and the {noun} is cancelled"
    pivot = find_pivot(steps)
    if pivot is None or fenced or pivot.logged in CLOSED:
        return [Branch("", undone, end, Status.COMPENSATED)]
    if pivot.logged is StepState.DONE:
        return [
            Branch(
                f"{pivot.service} did {pivot.phrase}, so nothing is undone any more",
                list_after_pivot(steps),
                f"the {noun} is finished",
                Status.COMPLETED,
            )
        ]
    never, ran = (f"if {pivot.service} {did} {pivot.phrase}" for did in ("did not", "did"))
    return [
        Branch(f"{never}, and now never will", undone, end, Status.COMPENSATED),
        Branch(ran, list_after_pivot(steps), f"the {noun} is finished", Status.COMPLETED),
    ]


def branch_drive(steps: Sequence[StepFacts], noun: str, *, undoable: bool) -> list[Branch]:
    """Return the branches of a drive: the steps that are missing are asked for again.

    Args:
        undoable: whether a refusal would still undo the flow.
    """
    missing = [s.phrase for s in steps if s.logged is not StepState.DONE]
    whole = Branch("if every service does its part", missing, f"the {noun} is finished", Status.COMPLETED)
    if undoable:
        end = f"everything is undone, and the {noun} is cancelled"
        return [whole, Branch("if one of them refuses", [], end, Status.COMPENSATED)]
    again = "it is sent again; nothing is undone any more"
    return [whole, Branch("if one of them fails", [], again, Status.FORWARD)]


def list_after_pivot(steps: Sequence[StepFacts]) -> list[str]:
    return [s.phrase for s in steps if s.kind is StepKind.RETRIABLE and s.logged is not StepState.DONE]
