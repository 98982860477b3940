"""The orchestrator's decisions against the protocol's model: every status and every input.

The table is the orchestrator's half of the explicit-state model that the protocol was searched with, status by
status: what each becomes, and what is sent. `.` is "ignored". Two entries differ from the model, both by sending
more, which barriers bear: word of the pivot drives a stopping saga at once (there: the watchdog does), and a drive
after the pivot begins at the first step the log does not know done, to collect the replies that later steps need.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from celery_config.saga.dsl import Saga
from celery_config.saga.engine.machine import (
    CancelRequested,
    Compensated,
    Completed,
    Decision,
    Drive,
    PivotRan,
    Resume,
    Retry,
    Send,
    StepFailed,
    StepLogged,
    Stop,
    Trigger,
    UndoBefore,
    View,
    WatchdogFired,
    decide,
)
from celery_config.saga.engine.plan import plan_links
from celery_config.saga.states import ENDED, OPEN, Status, StepState
from tests.trip import Holiday, Trip

INPUTS: dict[str, Trigger] = {
    "pivot logged": StepLogged("charge", StepState.DONE),
    "pivot refused": StepLogged("charge", StepState.REFUSED),
    "other logged": StepLogged("flight", StepState.DONE),
    "undo logged": StepLogged("flight", StepState.UNDONE),
    "action failed": StepFailed("flight", "do"),
    "pivot failed": StepFailed("charge", "do"),
    "late failed": StepFailed("ticket", "do"),
    "undo failed": StepFailed("flight", "undo"),
    "fence failed": StepFailed("charge", "fence"),
    "own failed": StepFailed("", "complete"),
    "pivot ran": PivotRan(),
    "complete": Completed(),
    "compensated": Compensated(),
    "incomplete": Compensated(incomplete=True),
    "cancel": CancelRequested(),
    "retry": Retry(),
    "resume": Resume(),
    "due": WatchdogFired(),
    "due, late": WatchdogFired(),
    "due, too long": WatchdogFired(),
}
TABLE = """
input          running         stopping      forward        completed  compensated  parked
pivot logged   forward         forward+drive .              .          .            .
pivot refused  .               .             .              .          .            .
other logged   .               .             .              .          .            .
undo logged    .               .             .              .          .            .
action failed  stopping+stop   .             .              .          .            .
pivot failed   stopping+stop   .             .              .          .            .
late failed    .               .             .              .          .            .
undo failed    .               +undos        .              .          .            .
fence failed   .               .             .              .          .            .
own failed     .               .             .              .          .            .
pivot ran      forward+drive   forward+drive .              .          .            .
complete       completed       .             completed      .          .            completed
compensated    .               compensated   .              .          .            compensated
incomplete     .               .             .              .          .            .
cancel         stopping+stop   .             .              .          .            .
retry          .               .             .              .          .            stopping+stop
resume         .               .             .              .          .            .
due            +drive          +stop         +drive         .          .            .
due, late      stopping+stop   +stop         +drive         .          .            .
due, too long  +drive          parked        parked         .          .            .
"""
SENT: dict[str, Send | None] = {
    "drive": Drive("flight"),
    "stop": Stop(),
    "undos": UndoBefore("flight"),
    "": None,
}
LOG = {"hotel": StepState.DONE}
LOOKS_SOON = ("late failed", "fence failed", "own failed")


def cells() -> Iterator[tuple[str, Status, str]]:
    head, *lines = TABLE.strip().splitlines()
    for line in lines:
        name, rest = line[:14].strip(), line[14:].split()
        for status, cell in zip(head.split()[1:], rest, strict=True):
            yield name, Status(status), cell


def view(name: str, status: Status) -> View:
    return View(status, LOG, past_deadline=name == "due, late", past_patience=name == "due, too long")


def test_the_table_is_whole() -> None:
    assert {(name, status) for name, status, _ in cells()} == set(itertools.product(INPUTS, Status))


@pytest.mark.parametrize(("name", "status", "cell"), list(cells()))
def test_every_status_and_input(name: str, status: Status, cell: str) -> None:
    """Rules 11 to 17 and 25, as the model has them."""
    decision = decide(Trip, view(name, status), INPUTS[name])
    became, _, sent = cell.removeprefix(".").partition("+")
    assert decision.status == (Status(became) if became else None)
    assert decision.send == SENT[sent]
    assert decision.soon == (name in LOOKS_SOON and status in OPEN)


@pytest.mark.parametrize(
    ("came", "status", "then"),
    [
        (Completed(), Status.RUNNING, Decision(Status.COMPLETED)),
        (Completed(), Status.STOPPING, Decision()),
        (Completed(), Status.PARKED, Decision()),
        (CancelRequested(), Status.RUNNING, Decision(Status.STOPPING, Stop())),
        (Compensated(), Status.PARKED, Decision(Status.COMPENSATED)),
    ],
)
def test_without_a_pivot_the_end_is_the_point_of_no_return(
    came: Trigger, status: Status, then: Decision
) -> None:
    """Rule 11: `complete` then proves nothing once a stop was decided, for undos may have run."""
    assert decide(Holiday, View(status, {}), came) == then


@pytest.mark.parametrize("status", list(Status))
def test_a_human_may_resume_only_a_parked_saga_whose_pivot_is_known_to_have_run(status: Status) -> None:
    """Rule 25: otherwise its "retry" is a stop, fence included."""
    view = View(status, {"hotel": StepState.DONE, "flight": StepState.DONE, "charge": StepState.DONE})
    resumed = Decision(Status.FORWARD, Drive("ticket"))
    assert decide(Trip, view, Resume()) == (resumed if status is Status.PARKED else Decision())


@pytest.mark.parametrize(
    ("log", "left"),
    [
        ({}, ["fence charge", "undo flight", "undo hotel"]),
        ({"charge": StepState.UNDONE}, ["undo flight", "undo hotel"]),
        ({"charge": StepState.REFUSED}, ["undo flight", "undo hotel"]),
        ({"flight": StepState.UNDONE}, ["fence charge", "undo flight", "undo hotel"]),
        ({"charge": StepState.UNDONE, "hotel": StepState.UNDONE}, ["undo flight", "undo hotel"]),
        ({"charge": StepState.UNDONE, "flight": StepState.UNDONE, "hotel": StepState.DONE}, ["undo hotel"]),
        (dict.fromkeys(("charge", "flight", "hotel"), StepState.UNDONE), []),
    ],
)
def test_a_stop_is_driven_again_from_the_first_gap_on(log: dict[str, StepState], left: list[str]) -> None:
    """Rule 12: the log chooses where it starts, and nothing behind that is skipped."""
    send = decide(Trip, View(Status.STOPPING, log), WatchdogFired()).send
    assert send is not None
    links = [f"{link.operation} {link.step}".strip() for link in plan_links(Trip, send)]
    assert links == [*left, "compensated"]


def every_view(saga: type[Saga]) -> Iterator[View]:
    names = [s.name for s in saga.steps]
    for status, deadline, patience in itertools.product(Status, (False, True), (False, True)):
        for outcomes in itertools.product(StepState, repeat=len(names)):
            yield View(status, dict(zip(names, outcomes, strict=True)), deadline, patience)


def every_input(saga: type[Saga]) -> Iterator[Trigger]:
    yield from (
        PivotRan(),
        Completed(),
        Compensated(),
        Compensated(incomplete=True),
        CancelRequested(),
        Retry(),
        Resume(),
        WatchdogFired(),
    )
    for step in saga.steps:
        yield from (StepLogged(step.name, outcome) for outcome in StepState)
        yield from (StepFailed(step.name, operation) for operation in ("do", "undo", "fence"))


@pytest.mark.parametrize("saga", [Trip, Holiday])
def test_whatever_the_log_says(saga: type[Saga]) -> None:
    """The log chooses where a drive starts, never what is skipped or how it ends (rules 12, 13, 15)."""
    for seen, came in itertools.product(every_view(saga), every_input(saga)):
        decision = decide(saga, seen, came)
        if seen.status in ENDED:
            assert decision == Decision(), "an end is final"
        if decision.status is Status.COMPENSATED:
            assert came == Compensated()
        if decision.status is Status.COMPLETED:
            assert came == Completed()
        if seen.status is Status.FORWARD:
            assert decision.status in (None, Status.COMPLETED, Status.PARKED), "forward never stops"
        if decision.status is Status.STOPPING:
            assert decision.send == Stop()
            assert seen.status in (Status.RUNNING, Status.PARKED)
        if isinstance(decision.send, Drive):
            unknown = [s.name for s in saga.steps if seen.log[s.name] is not StepState.DONE]
            assert decision.send.step == (unknown[0] if unknown else None)


def test_the_log_only_rises() -> None:
    """Rule 16: what the ranks say is what a merge may overwrite."""
    assert StepState.NOTHING.rank < StepState.DONE.rank == StepState.REFUSED.rank < StepState.UNDONE.rank
