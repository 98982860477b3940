"""Schedule: one course of events as data, which can be played, shrunk, and printed as a test."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import combinations, permutations

from celery_config.saga.dsl import Saga
from celery_config.saga.testing.engine import REAL, Engine
from celery_config.saga.testing.orchestrator import OPERATOR
from celery_config.saga.testing.simulation import Outcome, Setting, simulate
from celery_config.saga.testing.strategies import ReplayStrategy

MAX_MOVES_SHOWN = 60
NUMBER = re.compile(r"(?<= )\d+(?= )")


@dataclass(frozen=True)
class Schedule:
    """A setting, and the departures from the ordinary course by point."""

    setting: Setting
    choices: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        """The number of departures and lasting failures."""
        return len(self.choices) + len(self.setting.lasting)

    def play(self, *, engine: Engine = REAL, trace: Callable[[str], None] | None = None) -> Outcome:
        return simulate(self.setting, ReplayStrategy(self.choices, trace), engine=engine, trace=trace)

    def fails(self, engine: Engine) -> bool:
        try:
            return bool(self.play(engine=engine).violation)
        except ValueError:  # it was shortened until a remaining choice became impossible
            return False

    def as_test(self, *, ends: str = "") -> str:
        """Return the source of a test that plays exactly this.

        Args:
            ends: the status in which it ends, which the test then wants; empty: that no guarantee is broken.
        """
        saga = self.setting.saga
        begin = "outcome = replay(" if ends else "replay("
        end = ["    )", *([f'    assert outcome.status == "{ends}"'] if ends else [])]
        lines = [
            f"from {saga.__module__} import {saga.__name__}",
            "from celery_config.saga.testing import replay",
            "",
            "",
            f"def test_a_schedule_of_{saga.name.replace('-', '_')}() -> None:",
            f"    {begin}",
            f"        {saga.__name__},",
        ]
        for name in ("outside", "lasting"):
            if steps := getattr(self.setting, name):
                lines.append(f"        {name}={sorted(steps)!r},")
        if self.setting.operator != OPERATOR[0]:
            lines.append(f"        operator={self.setting.operator!r},")
        lines += ["        choices={", *(f"            {p!r}: {c!r}," for p, c in self.choices.items())]
        return "\n".join([*lines, "        },", *end]).replace("'", '"')


class ScheduleFailed(AssertionError):
    """A guarantee was broken; the text says which one, and by which schedule, move by move."""

    def __init__(self, schedule: Schedule, engine: Engine, *, played: int = 1) -> None:
        """
        Args:
            played: how many schedules were played, this one included.
        """
        moves: list[str] = []
        outcome = schedule.play(engine=engine, trace=moves.append)
        self.schedule, self.violation, self.played = schedule, outcome.violation, played
        if len(moves) > MAX_MOVES_SHOWN:
            moves[MAX_MOVES_SHOWN // 2 : -MAX_MOVES_SHOWN // 2] = ["           …"]
        lines = [f"{outcome.violation}. The shortest schedule found:", "", *moves, "", "As a test:", ""]
        super().__init__("\n".join([*lines, schedule.as_test(), ""]))


def replay(
    saga: type[Saga],
    *,
    choices: Mapping[str, str],
    outside: Iterable[str] = (),
    lasting: Iterable[str] = (),
    operator: str = OPERATOR[0],
    engine: Engine = REAL,
) -> Outcome:
    """Play one schedule and return how it ended.

    Raises:
        ScheduleFailed: a guarantee was broken.
        ValueError: the schedule chooses what cannot happen.
    """
    schedule = Schedule(Setting(saga, frozenset(outside), frozenset(lasting), operator), choices)
    outcome = schedule.play(engine=engine)
    if outcome.violation:
        raise ScheduleFailed(schedule, engine)
    return outcome


def shrink(schedule: Schedule, engine: Engine) -> Schedule:
    """Leave out all departures that the violation does not need.

    Delta debugging (Zeller and Hildebrandt, 2002): smaller and smaller parts are left out, until none can be.
    """
    best = simplify_setting(schedule, engine)
    size = max(1, len(best.choices) // 2)
    while True:
        points, before = list(best.choices), len(best)
        for start in range(0, len(points), size):
            out = set(points[start : start + size])
            kept = {point: c for point, c in best.choices.items() if point not in out}
            shorter = replace(best, choices=kept)
            if shorter.fails(engine):
                best = shorter
        if len(best) == before:
            if size == 1:
                return replace_pairs(merge_repeats(simplify_setting(best, engine), engine), engine)
            size = max(1, size // 2)


def simplify_setting(schedule: Schedule, engine: Engine) -> Schedule:
    """Use as few external steps and lasting failures, and as passive an operator, as the violation needs."""
    best = schedule
    plainer: list[Callable[[Setting], Setting]] = [
        *(lambda s, step=step: replace(s, outside=s.outside - {step}) for step in schedule.setting.outside),
        *(lambda s, step=step: replace(s, lasting=s.lasting - {step}) for step in schedule.setting.lasting),
        lambda s: replace(s, operator=OPERATOR[0]),
    ]
    for plain in plainer:
        shorter = replace(best, setting=plain(best.setting))
        if shorter.fails(engine):
            best = shorter
    return best


def merge_repeats(schedule: Schedule, engine: Engine) -> Schedule:
    """Move a departure from a second message of its kind to the first, if that saves another departure."""
    best = schedule
    for out, point in permutations(schedule.choices, 2):
        earlier = NUMBER.sub(lambda number: str(max(1, int(number[0]) - 1)), point, count=1)
        if out not in best.choices or point not in best.choices or earlier == point:
            continue
        renamed = {earlier if p == point else p: c for p, c in best.choices.items() if p != out}
        if replace(best, choices=renamed).fails(engine):
            best = replace(best, choices=renamed)
    return best


def replace_pairs(schedule: Schedule, engine: Engine) -> Schedule:
    """Replace two departures by one, as long as the violation stays."""
    for pair in combinations(schedule.choices, 2):
        kept = {point: c for point, c in schedule.choices.items() if point not in pair}
        rest = ReplayStrategy(kept)
        simulate(schedule.setting, rest, engine=engine)
        for point, options in rest.points:
            for option in options[1:]:
                shorter = replace(schedule, choices=kept | {point: option})
                if point not in kept and shorter.fails(engine):
                    return replace_pairs(shorter, engine)
    return schedule
