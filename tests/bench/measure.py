"""One measured run of one side, and what several runs amount to."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from compose.local.environment import ROOT
from compose.local.errors import LocalError
from compose.local.shopper import percentile
from tests.bench.cpu import CpuMeter, tree_megabytes


@dataclass(frozen=True)
class Run:
    """Times in milliseconds; `cpu` is processor time an order by part; latencies run from accepted to ended.

    `memory` is in MB, of each part when the last order has ended; `private` what it shares with nobody. `wal` is
    what PostgreSQL wrote into its log for an order, in kB; nothing where that was not asked.
    """

    orders: int
    per_second: float
    p50: float
    p99: float
    cpu: Mapping[str, float]
    memory: Mapping[str, float]
    private: Mapping[str, float]
    wal: float = 0.0

    @property
    def cpu_total(self) -> float:
        return sum(self.cpu.values())

    @property
    def by_part(self) -> dict[str, float]:
        """`cpu` with the workers of a service taken together."""
        parts: dict[str, float] = {}
        for name, ms in self.cpu.items():
            part = name.rstrip("-0123456789")
            parts[part] = parts.get(part, 0.0) + ms
        return parts


def run_client(
    side: str,
    *,
    orders: int,
    environment: Mapping[str, str],
    parts: Mapping[str, int],
    python: str = sys.executable,
    progress: Callable[[int], None] = lambda _: None,
    rate: float = 0.0,
    refused_share: float = 0.0,
) -> Run:
    """Let the client process place `orders` and measure until the last has ended.

    Args:
        parts: the leading process of everything whose processor time counts; the client counts itself.
        python: the interpreter of the environment that the client needs.
        rate: orders a second; 0: as fast as it goes.
        refused_share: of the orders.

    Raises:
        LocalError: the client failed, or not every order ended as it should.
    """
    command = [python, "-m", "tests.bench.client", side, f"--orders={orders}", f"--rate={rate}"]
    command.append(f"--refused={refused_share}")
    meter = CpuMeter(parts)
    last: dict[str, object] = {}
    with subprocess.Popen(
        command, cwd=ROOT, env=dict(environment), stdout=subprocess.PIPE, text=True
    ) as client:
        assert client.stdout is not None
        for line in client.stdout:
            last = json.loads(line)
            if "ended" in last:
                progress(int(str(last["ended"])))
    used = meter.milliseconds()
    memory = {name: tree_megabytes(pid) for name, pid in parts.items()}
    private = {name: tree_megabytes(pid, "uss") for name, pid in parts.items()}
    statuses = last.get("statuses")
    if client.returncode or not isinstance(statuses, dict) or not all_ended(statuses, orders, refused_share):
        raise LocalError(f"of the {side} run's {orders} orders not all ended as they should: {statuses}")
    return run_of(orders, last, used, memory, private)


def all_ended(statuses: Mapping[str, int], orders: int, refused_share: float) -> bool:
    """Whether all are confirmed, or cancelled where some must be."""
    wanted = {"confirmed", "cancelled"} if refused_share else {"confirmed"}
    return statuses.keys() == wanted and sum(statuses.values()) == orders


def run_of(
    orders: int,
    told: Mapping[str, object],
    used: Mapping[str, float],
    memory: Mapping[str, float],
    private: Mapping[str, float],
) -> Run:
    latencies = [1000 * seconds for seconds in told["latencies"]]  # type: ignore[attr-defined]
    cpu = {"placing": float(str(told["placing_cpu_ms"])), **used}
    return Run(
        orders=orders,
        per_second=orders / float(str(told["seconds"])),
        p50=percentile(latencies, 0.5),
        p99=percentile(latencies, 0.99),
        cpu={name: ms / orders for name, ms in cpu.items()},
        memory=memory,
        private=private,
    )


def middle(runs: Sequence[Run]) -> Run:
    """The median of every figure."""
    return Run(
        orders=runs[0].orders,
        per_second=median(run.per_second for run in runs),
        p50=median(run.p50 for run in runs),
        p99=median(run.p99 for run in runs),
        cpu={name: median(run.cpu[name] for run in runs) for name in runs[0].cpu},
        memory={name: median(run.memory[name] for run in runs) for name in runs[0].memory},
        private={name: median(run.private[name] for run in runs) for name in runs[0].private},
        wal=median(run.wal for run in runs),
    )
