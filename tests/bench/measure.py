"""One measured run of one side, and the median of several runs."""

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
from tests.bench.cpu import CpuMeter, measure_memory


@dataclass(frozen=True)
class Run:
    """The figures of one run.

    Latencies `p50` and `p99` are milliseconds from accepted to ended. `cpu` is milliseconds of processor time for an
    order, by part. `memory` is in MB, by part, when the last order has ended; `private` is its part that is not shared
    with other processes. `wal` is what PostgreSQL wrote into its log for an order, in kB; 0 where it is not measured.
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
        """`cpu`, with the workers of a service added up."""
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
    """Let the client process place `orders`, and measure until the last one has ended.

    Args:
        parts: the first process of each part whose processor time counts; the client counts its own.
        python: the interpreter of the environment that the client needs.
        rate: orders a second; 0 is full speed.
        refused_share: the share of orders that are refused.

    Raises:
        LocalError: the client failed, or an order ended in another way than it should.
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
    used = meter.read_milliseconds()
    memory, private = measure_memory(parts), measure_memory(parts, "uss")
    statuses = last.get("statuses")
    if (
        client.returncode
        or not isinstance(statuses, dict)
        or not have_ended_well(statuses, orders, refused_share)
    ):
        raise LocalError(f"{side}: not all of {orders} orders ended as they should: {statuses}")
    return make_run(orders, last, used, memory, private)


def have_ended_well(statuses: Mapping[str, int], orders: int, refused_share: float) -> bool:
    """Return whether all are confirmed, or a part of them cancelled where some are refused."""
    wanted = {"confirmed", "cancelled"} if refused_share else {"confirmed"}
    return statuses.keys() == wanted and sum(statuses.values()) == orders


def make_run(
    orders: int,
    answer: Mapping[str, object],
    used: Mapping[str, float],
    memory: Mapping[str, float],
    private: Mapping[str, float],
) -> Run:
    latencies = [1000 * seconds for seconds in answer["latencies"]]  # type: ignore[attr-defined]
    cpu = {"placing": float(str(answer["placing_cpu_ms"])), **used}
    return Run(
        orders=orders,
        per_second=orders / float(str(answer["seconds"])),
        p50=percentile(latencies, 0.5),
        p99=percentile(latencies, 0.99),
        cpu={name: ms / orders for name, ms in cpu.items()},
        memory=memory,
        private=private,
    )


def take_median(runs: Sequence[Run]) -> Run:
    """Return the median of every figure."""
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
