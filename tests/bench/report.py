"""Tables and lines that show the figures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median

from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from tests.bench.loads import BARE, OURS, Load, Results
from tests.bench.measure import Run, take_median

NOTE = (
    "Full speed: sixteen threads place orders one by one through the service function, not over HTTP; latency there is"
    " mostly waiting in line. Medians of the rounds with the lowest and the highest; CPU of all processes, servers and"
    " client among them. Only the order saga has a run with refusals."
)
MEASURABLE = 0.05
"""For smaller figures no ratio is shown."""
Sides = Mapping[str, Results]


def make_table(load: Load, sides: Sides) -> Table:
    made = Table("", *sides, title=load.title, caption=NOTE)

    def add_row(title: str, show: Callable[[Results], str], style: str | None = None) -> None:
        made.add_row(title, *(show(results) for results in sides.values()), style=style)

    add_row("orders/s, full speed", lambda r: format_spread([run.per_second for run in r.full_speed]))
    add_row(
        "CPU ms/order, full speed",
        lambda r: format_spread([run.cpu_total for run in r.full_speed]),
        style="bold",
    )
    if load.refused_share:
        title = f"{load.refused_share:.0%} refused: orders/s, CPU ms/order"
        add_row(title, lambda r: format_speed_and_cpu(take_median(r.refused)) if r.refused else "—")
    add_row("memory MB, all processes", lambda r: f"{sum(r.median.memory.values()):.0f}")
    for rate in load.rates:
        title = f"at {rate:g}/s, accepted → ended, p50 / p99 ms"
        add_row(title, lambda r, rate=rate: format_latency(r.at_rate.get(rate)))  # type: ignore[misc]
    made.add_section()
    runs = {name: results.median for name, results in sides.items()}
    for part in {name: None for run in runs.values() for name in run.cpu}:
        made.add_row(
            f"  {part}", *(f"{run.cpu[part]:.2f}" if part in run.cpu else "—" for run in runs.values())
        )
    return made


def format_spread(values: Sequence[float], digits: int = 1) -> str:
    low, mid, high = (f"{value:.{digits}f}" for value in (min(values), median(values), max(values)))
    return f"{mid} ({low}–{high})"


def format_speed_and_cpu(run: Run) -> str:
    return f"{run.per_second:.1f}, {run.cpu_total:.1f}"


def format_latency(run: Run | None) -> str:
    return f"{run.p50:.0f} / {run.p99:.0f}" if run else "—"


def format_last_line(sides: Sides, rate: float) -> str:
    """Take throughput, processor time and ratio from the runs at full speed, latency from the run at `rate`."""
    ours, low = sides[OURS].median, sides[OURS].at_rate[rate]
    return (
        f"bench: {ours.per_second:.1f} sagas/s, p50 {low.p50:.0f} ms, p99 {low.p99:.0f} ms,"
        f" {ours.cpu_total:.1f} ms CPU/saga, {ours.per_second / sides[BARE].median.per_second:.2f} of bare chain"
    )


def format_ratios(sides: Sides) -> str:
    """Show the order saga's CPU for an order as a multiple of each other side's."""
    ours = sides[OURS].median.cpu_total
    shares = [
        f"{ours / results.median.cpu_total:.2f} of {name}" for name, results in sides.items() if name != OURS
    ]
    return f"CPU an order: {', '.join(shares)}"


def make_run_table(title: str, found: Mapping[str, Sequence[Run]]) -> Table:
    """Show runs that differ in one thing, and the ratio of the last to the first, as Markdown."""
    made = Table(title, *found, "last / first", box=MARKDOWN)
    middles = [take_median(runs) for runs in found.values()]

    def add_row(title: str, value: Callable[[Run], float], digits: int = 1) -> None:
        shown = [format_spread([value(run) for run in runs], digits) for runs in found.values()]
        first, last = value(middles[0]), value(middles[-1])
        made.add_row(title, *shown, f"{last / first:.2f}" if first >= MEASURABLE else "—")

    add_row("sagas/s at full speed", lambda run: run.per_second)
    add_row("CPU ms a saga", lambda run: run.cpu_total, 2)
    add_row("write-ahead log, kB a saga", lambda run: run.wal)
    for part in middles[0].by_part:
        add_row(part, lambda run, part=part: run.by_part[part], 2)  # type: ignore[misc]
    return made


def print_faults(console: Console, faults: Iterable[str]) -> None:
    for fault in faults:
        console.print(f"[red]fault[/red]: {fault}")
