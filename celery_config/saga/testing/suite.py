"""The fixture's object: every way of playing schedules on one engine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from celery_config.saga.dsl import Saga
from celery_config.saga.testing.engine import REAL, Engine
from celery_config.saga.testing.orchestrator import OPERATOR
from celery_config.saga.testing.schedules import replay
from celery_config.saga.testing.search import Report, check_all, check_random
from celery_config.saga.testing.simulation import Outcome


class Schedules:
    """Plays schedules of a saga; a broken guarantee fails the test with the shortest schedule found."""

    def __init__(self, engine: Engine = REAL) -> None:
        self.engine = engine

    def check(self, saga: type[Saga], *, count: int = 10_000, seed: int = 1) -> Report:
        """Play `count` schedules drawn from `seed`."""
        return check_random(saga, count=count, seed=seed, engine=self.engine)

    def check_all(self, saga: type[Saga], *, departures: int = 1, outside: Iterable[str] = ()) -> Report:
        """Play every schedule with at most this many departures from the ordinary course.

        Args:
            outside: the steps whose effect is at a provider.
        """
        return check_all(saga, departures=departures, outside=outside, engine=self.engine)

    def replay(
        self,
        saga: type[Saga],
        *,
        choices: Mapping[str, str],
        outside: Iterable[str] = (),
        lasting: Iterable[str] = (),
        operator: str = OPERATOR[0],
    ) -> Outcome:
        """Play exactly this schedule."""
        return replay(
            saga, choices=choices, outside=outside, lasting=lasting, operator=operator, engine=self.engine
        )
