"""How the figures are shown."""

from __future__ import annotations

from collections.abc import Mapping

from rich.table import Table

from tests.bench.measure import Run

NOTE = (
    "Full speed: four threads place orders through the service function, not over HTTP; latency there is mostly"
    " waiting in line. Both sides call the sandbox (four calls an order) and send task events."
)


def table(sides: Mapping[str, tuple[Run, Run]]) -> Table:
    """Medians of both sides.

    Args:
        sides: by name, the run at full speed and the one at a low rate.
    """
    made = Table("", *sides, title="An order through four services", caption=NOTE)
    full, low = [s[0] for s in sides.values()], [s[1] for s in sides.values()]
    made.add_row("orders/s, full speed", *(f"{run.per_second:.1f}" for run in full))
    made.add_row("accepted → ended at full speed, p50 / p99 ms", *map(times, full))
    made.add_row("accepted → ended at low rate, p50 / p99 ms", *map(times, low), end_section=True)
    made.add_row("CPU ms/order, full speed", *(f"{run.cpu_total:.1f}" for run in full), style="bold")
    for part in {name: None for run in full for name in run.cpu}:
        made.add_row(f"  {part}", *(f"{run.cpu[part]:.1f}" if part in run.cpu else "—" for run in full))
    return made


def times(run: Run) -> str:
    return f"{run.p50:.0f} / {run.p99:.0f}"


def last_line(full: Run, low: Run, bare: Run) -> str:
    """Throughput, processor time and ratio from the runs at full speed, latency from the one at a low rate."""
    return (
        f"bench: {full.per_second:.1f} orders/s, p50 {low.p50:.0f} ms, p99 {low.p99:.0f} ms,"
        f" {full.cpu_total:.1f} ms CPU/order, {full.per_second / bare.per_second:.2f} of bare chain"
    )
