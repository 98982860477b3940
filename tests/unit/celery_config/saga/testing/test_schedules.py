"""The real decisions under every short schedule and many long ones; and under decisions made wrong on purpose."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest
from rich.console import Console

from celery_config.saga.dsl import Saga
from celery_config.saga.testing import (
    ScheduleFailed,
    Schedules,
    check_random,
    orchestrator,
    participants,
    providers,
    replay,
    simulation,
)
from celery_config.saga.testing import broker as broker_module
from celery_config.saga.testing.search import draw_setting
from celery_config.saga.testing.strategies import RandomStrategy, ReplayStrategy
from tests.broken import BROKEN
from tests.schedules import Portion, print_result
from tests.trip import Holiday, Trip

pytest_plugins = ["celery_config.saga.testing.plugin"]
ROOT = Path(__file__).resolve().parents[5]
EVERYWHERE = ["hotel", "flight", "charge", "ticket"]


def test_the_ordinary_course(schedules: Schedules) -> None:
    outcome = schedules.replay(Trip, choices={}, outside=EVERYWHERE)
    assert outcome.status == "completed"


@pytest.mark.parametrize(
    ("saga", "departures", "outside", "at_least"),
    [
        (Holiday, 2, [], 4_000),
        (Holiday, 1, ["hotel", "flight"], 100),
        (Trip, 1, [], 130),
        (Trip, 1, EVERYWHERE, 190),
    ],
)
def test_every_short_schedule(
    schedules: Schedules, saga: type[Saga], departures: int, outside: list[str], at_least: int
) -> None:
    report = schedules.check_all(saga, departures=departures, outside=outside)
    assert report.schedules >= at_least
    assert set(report.ends) == {"completed", "compensated"}


@pytest.mark.parametrize("saga", [Trip, Holiday])
def test_many_long_schedules(schedules: Schedules, saga: type[Saga]) -> None:
    report = schedules.check(saga, count=2_500, seed=11)
    assert report.schedules == 2_500
    assert min(report.ends[end] for end in ("completed", "compensated", "parked")) > 40


def test_the_sagas_of_the_order_service() -> None:
    """In a process of its own, for their callbacks need the order service's settings."""
    argv = [sys.executable, "manage.py", "schedules", "--count", "6000", "--seed", "3"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    last = done.stdout.splitlines()[-1]
    assert re.fullmatch(r"schedules: 6000 schedules of \d+ sagas, 0 violations, \d+/s", last)


def test_the_command_fails_when_a_guarantee_is_broken(capsys: pytest.CaptureFixture[str]) -> None:
    portions = [
        Portion(500, Counter(completed=500)),
        Portion(7, violation="hotel was done twice", report="hotel was done twice. The shortest …"),
    ]
    assert print_result(portions, 2, 0.5, Console()) == 1
    told = capsys.readouterr().out
    assert "The shortest …" in told
    assert told.splitlines()[-1] == "schedules: 507 schedules of 2 sagas, 1 violations, 1014/s"


@pytest.mark.parametrize("fault", BROKEN)
def test_a_wrong_decision_is_caught_and_shown_by_a_short_schedule(fault: str) -> None:
    engine = BROKEN[fault]
    with pytest.raises(ScheduleFailed) as caught:
        check_random(Trip, count=5_000, seed=1, engine=engine)
    schedule = caught.value.schedule
    assert len(schedule) <= 3, schedule.choices
    assert schedule.play(engine=engine).violation == caught.value.violation
    assert not schedule.play().violation


def test_a_failure_is_printed_as_a_test_that_plays_it() -> None:
    with pytest.raises(ScheduleFailed) as caught:
        check_random(Trip, count=5_000, seed=1, engine=BROKEN["an undo leaves no tombstone"])
    moves, _, source = str(caught.value).partition("As a test:\n")
    assert "the saga is compensated, but still there: hotel" in moves
    module: dict[str, Any] = {}
    exec(source, module)
    module["test_a_schedule_of_trip"]()
    assert repr(dict(caught.value.schedule.choices)).strip("{}").replace("'", '"').split(",")[0] in source


def test_the_same_seed_plays_the_same_and_portions_add_up() -> None:
    whole = check_random(Trip, count=300, seed=5)
    parts = [check_random(Trip, count=150, seed=5, first=first) for first in (0, 150)]
    assert whole.ends == parts[0].ends + parts[1].ends
    assert whole.departures == parts[0].departures + parts[1].departures
    assert whole.departures != check_random(Trip, count=300, seed=6).departures


def test_a_sampled_schedule_replays_to_the_same_end() -> None:
    for number in range(200):
        sampled = RandomStrategy(Random(number), 12, 0.1)
        setting = simulation.Setting(Trip, frozenset({"hotel", "charge"}))
        first = simulation.simulate(setting, sampled)
        replayed = ReplayStrategy(sampled.departures)
        assert simulation.simulate(setting, replayed) == first
        assert replayed.departures == sampled.departures


def test_everything_that_may_happen_happens() -> None:
    """No kind of trouble is there in name only."""
    kinds = {
        option
        for module in (broker_module, orchestrator, providers, participants, simulation)
        for name, options in vars(module).items()
        if name.isupper()
        and isinstance(options, tuple)
        and name not in ("OPERATOR", "OPEN", "ENDED", "PHASES", "PARTICIPANTS")
        for option in options
    }
    ordinary = {"delivered", "goes well", "nothing", "answers"}
    assert kinds - ordinary <= set(check_random(Trip, count=2_000, seed=2).departures)


def guarantees() -> dict[str, str]:
    """Each violation that the simulation can tell of, as a pattern."""
    texts = {}
    for path in Path(simulation.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Violation":
                text = node.args[0]
                parts = text.values if isinstance(text, ast.JoinedStr) else [text]
                pattern = [re.escape(str(v.value)) if isinstance(v, ast.Constant) else ".*" for v in parts]
                texts[f"{path.name}:{node.lineno}"] = "".join(pattern)
    return texts


def test_every_guarantee_can_be_broken() -> None:
    """No check is there in name only: for each there is a wrong decision that it alone may tell of."""
    left = guarantees()
    assert len(left) >= 15
    for number in range(600):
        for engine in BROKEN.values():
            random = Random(number)
            outcome = simulation.simulate(
                draw_setting(Trip, random), RandomStrategy(random, 20, 0.1), engine=engine
            )
            left = {p: text for p, text in left.items() if not re.fullmatch(text, outcome.violation)}
        if not left:
            break
    assert not left


@pytest.mark.parametrize("when", ["do hotel 1", "event done hotel 1", "do flight 1", "do charge 1"])
def test_what_is_held_for_longer_than_its_deadline_ends_as_it_would_have(when: str) -> None:
    """Rule 30, holds."""
    outcome = replay(Trip, choices={f"{when} afterwards": "an operator holds it"}, outside=[])
    assert outcome.status == "completed"


def test_what_is_held_can_be_cancelled() -> None:
    held = {"do hotel 1 afterwards": "an operator holds it", "do flight 1 afterwards": "somebody cancels"}
    assert replay(Trip, choices=held).status == "compensated"


def test_what_is_let_go_may_settle_what_a_saga_was_parked_for() -> None:
    """The undo of a call without a result failed for a day; the held command then learns that it was refused."""
    choices = {
        "do hotel 1 afterwards": "the watchdog looks",
        "do hotel 2 afterwards": "an operator holds it",
        "do flight 1 call": "says no",
        "do flight 1 result": "gives up",
    }
    assert replay(Holiday, choices=choices, outside=["flight"], lasting=["flight"]).status == "parked"


def test_a_schedule_that_cannot_be_is_told() -> None:
    with pytest.raises(ValueError, match="'explodes' cannot happen there, only delivered, lost"):
        replay(Trip, choices={"do hotel 1 on its way": "explodes"})


@pytest.mark.parametrize(
    ("operator", "lasting", "end"),
    [
        ("stays parked", "ticket", "parked"),
        ("is retried", "ticket", "parked"),
        ("is repaired and retried", "ticket", "completed"),
        ("is repaired and resumed", "ticket", "completed"),
        ("stays parked", "hotel", "parked"),
        ("is resumed", "hotel", "parked"),
        ("is repaired and retried", "hotel", "compensated"),
    ],
)
def test_what_lasts_parks_the_saga_until_it_is_repaired(operator: str, lasting: str, end: str) -> None:
    choices = {"do flight 1 at work": "refuses"} if lasting == "hotel" else {}
    assert replay(Trip, choices=choices, lasting=[lasting], operator=operator).status == end
