"""`./manage.py schedules`: the order service's sagas against schedules drawn from a seed, on two processes."""

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
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

PROCESSES = 2
PORTION = 500
Key = tuple[str, int]


@dataclass
class Portion:
    """What became of some schedules of one saga; the first violation ends it."""

    played: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    violation: str = ""
    report: str = ""


def main(argv: list[str]) -> int:
    load()
    options = parse(argv)
    sagas = chosen(options.saga)
    console = Console(highlight=False)
    began = time.monotonic()
    portions = played(sagas, options.count, options.seed, console)
    seconds = time.monotonic() - began
    return tell(portions, len(sagas), seconds, console)


def tell(portions: Sequence[Portion], sagas: int, seconds: float, console: Console) -> int:
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
    parser.add_argument("--count", type=positive, default=100_000, help="schedules in all (100000)")
    parser.add_argument("--seed", type=int, default=1, help="another seed, other schedules (1)")
    names = sorted({name for name, _ in registered()})
    parser.add_argument("--saga", choices=names, help="only this one, in all its versions; else every saga")
    return parser.parse_args(argv)


def positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def load() -> None:
    """Import the sagas; their callbacks are services, which need Django's settings but no database."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "order_project.config.settings"
    import django

    django.setup()
    import order_project.sagas  # noqa: F401


def registered() -> list[Key]:
    from celery_config.saga.dsl import Saga

    return sorted(Saga.registry)


def chosen(name: str | None) -> list[Key]:
    return [key for key in registered() if name in (None, key[0])]


def played(sagas: Sequence[Key], count: int, seed: int, console: Console) -> list[Portion]:
    """Play `count` schedules, divided among the sagas, with a progress bar."""
    columns = (TextColumn("schedules"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    work = list(portions_of(sagas, count))
    done = []
    pool = ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn"), initializer=load)
    with pool, Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("schedules", total=count)
        futures = [pool.submit(play, key, first, size, seed) for key, first, size in work]
        for future in as_completed(futures):
            done.append(future.result())
            progress.advance(bar, done[-1].played)
    return done


def portions_of(sagas: Sequence[Key], count: int) -> Iterator[tuple[Key, int, int]]:
    """Saga, number of the first schedule, how many."""
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
