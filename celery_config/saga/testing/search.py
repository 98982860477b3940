"""Search for a schedule that breaks a guarantee: every short one, or many long ones drawn from a seed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from random import Random

from celery_config.saga.dsl import Saga, StepKind
from celery_config.saga.testing.engine import REAL, Engine
from celery_config.saga.testing.orchestrator import OPERATOR
from celery_config.saga.testing.schedules import Schedule, ScheduleFailed, replay, shrink
from celery_config.saga.testing.simulation import Outcome, Setting, simulate
from celery_config.saga.testing.strategies import RandomStrategy, ReplayStrategy

# A stop is redriven 28 times in the 24 hours before it parks: fewer departures than that cannot make it park.
MAX_DEPARTURES = 20
RATES = (0.02, 0.05, 0.1, 0.2, 0.4)
LASTING_FAILURE_EVERY = 10


@dataclass
class Report:
    """The result of a search: the number of schedules, their ends, and their departures."""

    schedules: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    departures: Counter[str] = field(default_factory=Counter)

    def add(self, outcome: Outcome, choices: dict[str, str]) -> None:
        self.schedules += 1
        self.ends[outcome.status] += 1
        self.departures.update(choices.values())


def check_random(
    saga: type[Saga], *, count: int = 10_000, seed: int = 1, first: int = 0, engine: Engine = REAL
) -> Report:
    """Play `count` schedules of this seed, from number `first` on.

    Raises:
        ScheduleFailed: a guarantee was broken; it holds the shortest schedule found.
    """
    report = Report()
    for number in range(first, first + count):
        random = Random(f"{saga.name} {saga.version} {seed} {number}")
        setting = draw_setting(saga, random)
        strategy = RandomStrategy(random, random.randint(1, MAX_DEPARTURES), random.choice(RATES))
        outcome = simulate(setting, strategy, engine=engine)
        report.add(outcome, strategy.departures)
        if outcome.violation:
            shortest = shrink(Schedule(setting, strategy.departures), engine)
            raise ScheduleFailed(shortest, engine, played=report.schedules)
    return report


def check_all(
    saga: type[Saga], *, departures: int = 1, outside: Iterable[str] = (), engine: Engine = REAL
) -> Report:
    """Play every schedule with at most this many departures, the shortest first.

    Args:
        outside: the steps whose effect is at a provider.

    Raises:
        ScheduleFailed: a guarantee was broken.
    """
    setting, report = Setting(saga, frozenset(outside)), Report()
    level: list[dict[str, str]] = [{}]
    for left in range(departures, -1, -1):
        deeper: list[dict[str, str]] = []
        for choices in level:
            strategy = ReplayStrategy(choices)
            outcome = simulate(setting, strategy, engine=engine)
            report.add(outcome, choices)
            if outcome.violation:
                shortest = shrink(Schedule(setting, choices), engine)
                raise ScheduleFailed(shortest, engine, played=report.schedules)
            if left:
                deeper.extend(extend_by_one(strategy))
        level = deeper
    return report


class Schedules:
    """Plays schedules of a saga; a broken guarantee fails the test with the shortest schedule found."""

    check = staticmethod(check_random)
    check_all = staticmethod(check_all)
    replay = staticmethod(replay)


def extend_by_one(strategy: ReplayStrategy) -> Iterator[dict[str, str]]:
    """Each schedule with one more departure, behind the last: so each is made exactly once."""
    last = next(
        (n for n, (point, _) in reversed([*enumerate(strategy.points)]) if point in strategy.departures), -1
    )
    for point, options in strategy.points[last + 1 :]:
        for option in options[1:]:
            yield strategy.departures | {point: option}


def draw_setting(saga: type[Saga], random: Random) -> Setting:
    """Draw which steps are at a provider and, in one of `LASTING_FAILURE_EVERY` settings, what keeps failing."""
    outside = frozenset(s.name for s in saga.steps if random.random() < 0.5)
    can_last = [s.name for s in saga.steps if s.kind is not StepKind.PIVOT]
    lasting: frozenset[str] = frozenset()
    if can_last and random.randrange(LASTING_FAILURE_EVERY) == 0:
        lasting = frozenset(random.sample(can_last, min(len(can_last), random.randint(1, 2))))
    return Setting(saga, outside, lasting, random.choice(OPERATOR) if lasting else OPERATOR[0])
