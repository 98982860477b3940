"""`./manage.py schedules`: the order service's sagas keep every guarantee under random schedules from a seed."""

from __future__ import annotations

import argparse
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from multiprocessing import get_context

from rich.console import Console

from celery_config.common.arguments import parse_count
from celery_config.common.console import progress_bars

PROCESSES = 2
PORTION = 500
Key = tuple[str, int]


@dataclass
class Portion:
    """The result of some schedules of one saga; the first violation ends it."""

    played: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    violation: str = ""
    report: str = ""


def main(argv: list[str]) -> int:
    load_sagas()
    options = parse(argv)
    sagas = [key for key in saga_keys() if options.saga in (None, key[0])]
    console = Console(highlight=False)
    began = time.monotonic()
    portions = play_all(sagas, options.count, options.seed, console)
    seconds = time.monotonic() - began
    return print_result(portions, len(sagas), seconds, console)


def print_result(portions: Sequence[Portion], sagas: int, seconds: float, console: Console) -> int:
    """Print each kind of violation once, how the sagas ended, and the last line; return the exit code."""
    violated = [p for p in portions if p.violation]
    for shown in {p.violation: p for p in violated}.values():
        console.print(shown.report, markup=False)
    ends = sum((p.ends for p in portions), Counter[str]())
    console.print(", ".join(f"{n} {status}" for status, n in sorted(ends.items())))
    total, broken = sum(p.played for p in portions), len(violated)
    rate = total / seconds
    print(f"schedules: {total} schedules of {sagas} sagas, {broken} violations, {rate:.0f}/s", flush=True)
    return 1 if violated else 0


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./manage.py schedules", description=__doc__)
    parser.add_argument("--count", type=parse_count, default=100_000, help="schedules in all (100000)")
    parser.add_argument("--seed", type=int, default=1, help="another seed, other schedules (1)")
    names = sorted({name for name, _ in saga_keys()})
    parser.add_argument("--saga", choices=names, help="only this one, in all its versions; else every saga")
    return parser.parse_args(argv)


def load_sagas() -> None:
    """Import the sagas; their callbacks are services, which need Django's settings and no database."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "order_project.config.settings"
    import django

    django.setup()
    import order_project.sagas  # noqa: F401


def saga_keys() -> list[Key]:
    from celery_config.saga.dsl import Saga

    return sorted(Saga.registry)


def play_all(sagas: Sequence[Key], count: int, seed: int, console: Console) -> list[Portion]:
    """Play `count` schedules, divided among the sagas, with a progress bar."""
    work = list(divide(sagas, count))
    done = []
    pool = ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn"), initializer=load_sagas)
    with pool, progress_bars(console) as progress:
        bar = progress.add_task("schedules", total=count)
        futures = [pool.submit(play, key, first, size, seed) for key, first, size in work]
        for future in as_completed(futures):
            done.append(future.result())
            progress.advance(bar, done[-1].played)
    return done


def divide(sagas: Sequence[Key], count: int) -> Iterator[tuple[Key, int, int]]:
    """Yield the portions: the saga, the number of the first schedule, and how many."""
    for n, key in enumerate(sagas):
        share = count // len(sagas) + (n < count % len(sagas))
        for first in range(0, share, PORTION):
            yield key, first, min(PORTION, share - first)


def play(key: Key, first: int, count: int, seed: int) -> Portion:
    from celery_config.saga.dsl import Saga
    from celery_config.saga.testing import ScheduleFailed, check_random

    try:
        report = check_random(Saga.registry[key], count=count, seed=seed, first=first)
    except ScheduleFailed as failed:
        return Portion(failed.played, violation=failed.violation, report=str(failed))
    return Portion(count, report.ends)
