"""How the figures are shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median

from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from tests.bench.loads import BARE, OURS, Load, Results
from tests.bench.measure import Run, middle

NOTE = (
    "Full speed: sixteen threads place orders one by one through the service function, not over HTTP; latency there is"
    " mostly waiting in line. Medians of the rounds with the lowest and the highest; CPU of all processes, the servers'"
    " and the client's included. Nobody but ours carries refusals."
)
MEASURABLE = 0.05
"""Less than this has no ratio worth showing."""
Sides = Mapping[str, Results]


def table(load: Load, sides: Sides) -> Table:
    made = Table("", *sides, title=load.title, caption=NOTE)

    def row(title: str, show: Callable[[Results], str], style: str | None = None) -> None:
        made.add_row(title, *(show(results) for results in sides.values()), style=style)

    row("orders/s, full speed", lambda r: spread([run.per_second for run in r.full_speed]))
    row("CPU ms/order, full speed", lambda r: spread([run.cpu_total for run in r.full_speed]), style="bold")
    if load.refused_share:
        title = f"{load.refused_share:.0%} refused: orders/s, CPU ms/order"
        row(title, lambda r: both(middle(r.refused)) if r.refused else "—")
    row("memory MB, all processes", lambda r: f"{sum(r.middle.memory.values()):.0f}")
    for rate in load.rates:
        title = f"at {rate:g}/s, accepted → ended, p50 / p99 ms"
        row(title, lambda r, rate=rate: times(r.at_rate.get(rate)))  # type: ignore[misc]
    made.add_section()
    runs = {name: results.middle for name, results in sides.items()}
    for part in {name: None for run in runs.values() for name in run.cpu}:
        made.add_row(
            f"  {part}", *(f"{run.cpu[part]:.2f}" if part in run.cpu else "—" for run in runs.values())
        )
    return made


def spread(values: Sequence[float], digits: int = 1) -> str:
    low, middle, high = (f"{value:.{digits}f}" for value in (min(values), median(values), max(values)))
    return f"{middle} ({low}–{high})"


def both(run: Run) -> str:
    return f"{run.per_second:.1f}, {run.cpu_total:.1f}"


def times(run: Run | None) -> str:
    return f"{run.p50:.0f} / {run.p99:.0f}" if run else "—"


def last_line(sides: Sides, rate: float) -> str:
    """Throughput, processor time and ratio from the runs at full speed, latency from the one at `rate`."""
    ours, low = sides[OURS].middle, sides[OURS].at_rate[rate]
    return (
        f"bench: {ours.per_second:.1f} sagas/s, p50 {low.p50:.0f} ms, p99 {low.p99:.0f} ms,"
        f" {ours.cpu_total:.1f} ms CPU/saga, {ours.per_second / sides[BARE].middle.per_second:.2f} of bare chain"
    )


def ratios(sides: Sides) -> str:
    """The same run's CPU an order as multiples of the others'."""
    ours = sides[OURS].middle.cpu_total
    told = [
        f"{ours / results.middle.cpu_total:.2f} of {name}" for name, results in sides.items() if name != OURS
    ]
    return f"CPU an order: {', '.join(told)}"


def by_number(of_what: str, found: Mapping[int, Sequence[Run]]) -> Table:
    """Runs that differ in one number, and how the last of them relates to the first; ready for a page in Markdown."""
    made = Table(of_what, *(f"{number:,}" for number in found), "last / first", box=MARKDOWN)
    middles = [middle(runs) for runs in found.values()]

    def row(title: str, value: Callable[[Run], float], digits: int = 1) -> None:
        shown = [spread([value(run) for run in runs], digits) for runs in found.values()]
        first, last = value(middles[0]), value(middles[-1])
        made.add_row(title, *shown, f"{last / first:.2f}" if first >= MEASURABLE else "—")

    row("sagas/s at full speed", lambda run: run.per_second)
    row("CPU ms a saga", lambda run: run.cpu_total, 2)
    row("write-ahead log, kB a saga", lambda run: run.wal)
    for part in middles[0].by_part:
        row(part, lambda run, part=part: run.by_part[part], 2)  # type: ignore[misc]
    return made


def show_faults(console: Console, faults: Iterable[str]) -> None:
    for fault in faults:
        console.print(f"[red]fault[/red]: {fault}")
