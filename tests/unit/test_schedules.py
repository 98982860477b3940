"""The real decisions under every short schedule and many long ones; and under decisions made wrong on purpose."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest

from celery_config.saga.dsl import Saga
from celery_config.saga.testing import (
    ScheduleFailed,
    Schedules,
    check_random,
    orchestrator,
    outside,
    participants,
    replay,
    simulation,
)
from celery_config.saga.testing import broker as broker_module
from celery_config.saga.testing.choices import Replayed, Sampled
from tests.broken import BROKEN
from tests.trip import Holiday, Trip

pytest_plugins = ["celery_config.saga.testing.plugin"]
ROOT = Path(__file__).resolve().parents[2]
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
        sampled = Sampled(Random(number), 12, 0.1)
        setting = simulation.Setting(Trip, frozenset({"hotel", "charge"}))
        first = simulation.simulate(setting, sampled)
        replayed = Replayed(sampled.made)
        assert simulation.simulate(setting, replayed) == first
        assert replayed.made == sampled.made


def test_everything_that_may_happen_happens() -> None:
    """No kind of trouble is there in name only."""
    kinds = {
        option
        for module in (broker_module, orchestrator, outside, participants, simulation)
        for name, options in vars(module).items()
        if name.isupper()
        and isinstance(options, tuple)
        and name not in ("OPERATOR", "OPEN", "ENDED", "PHASES", "PARTICIPANTS")
        for option in options
    }
    ordinary = {"delivered", "goes well", "nothing", "answers"}
    assert kinds - ordinary <= set(check_random(Trip, count=2_500, seed=2).departures)


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
