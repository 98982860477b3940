"""The peers' processes: started once, and stopped (SIGSTOP) while somebody else is measured."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import httpx

from compose.local import ports
from compose.local.environment import ROOT
from compose.local.errors import LocalError
from compose.local.process import Process
from compose.local.readiness import ReadyCheck, answers, listens, says
from compose.local.stack import Stack
from tests.bench.loads import DBOS, RESTATE
from tests.bench.peers.home import Home

DBOS_WORKERS = 2
RESTATE_SERVICE_WORKERS = 2


class PeerSystem:
    """Starts with `start()`; ends with the stack, whose supervisor it uses.

    Args:
        environment: names the databases, which the peers share with the bare chain.
    """

    def __init__(self, stack: Stack, environment: Mapping[str, str]) -> None:
        self.stack = stack
        self.home = Home(stack.var / "peers")
        self.node, self.ingress, self.admin, self.service = (ports.free_port() for _ in range(4))
        self.environment = {**environment, "RESTATE_INGRESS": f"{ports.LOOPBACK}:{self.ingress}"}
        self.parts_of: dict[str, Sequence[str]] = {
            DBOS: [f"dbos-worker-{number}" for number in range(1, DBOS_WORKERS + 1)],
            RESTATE: ["restate-server", "restate-service"],
        }

    @property
    def python(self) -> str:
        return str(self.home.python)

    def start(self) -> None:
        """Start all processes, of packages that were installed before.

        Raises:
            LocalError: something does not start.
        """
        for name in self.parts_of[DBOS]:  # one by one: the first makes the tables
            self.stack.supervisor.start([self.dbos_worker(name)])
        self.stack.supervisor.start([self.restate_server(), self.restate_service()])
        self.register_service()
        for names in self.parts_of.values():
            self.send(names, signal.SIGSTOP)

    @contextmanager
    def at_work(self, side: str) -> Iterator[None]:
        """Only the side's own processes run, and none when it is not a peer."""
        names = self.parts_of.get(side, ())
        self.send(names, signal.SIGCONT)
        try:
            yield
        finally:
            self.send(names, signal.SIGSTOP)

    def send(self, names: Sequence[str], number: signal.Signals) -> None:
        for name in names:
            self.stack.supervisor.kill(name, number)

    def dbos_worker(self, name: str) -> Process:
        return self.process(
            name, self.python, "-m", "tests.bench.peers.dbos_worker", name, ready=says("carries out orders")
        )

    def restate_server(self) -> Process:
        data = self.home.folder / "restate-data"
        shutil.rmtree(data, ignore_errors=True)
        return self.process(
            "restate-server",
            str(self.home.restate_server),
            *("--base-dir", str(data), "--node-name", "bench", "--bind-ip", ports.LOOPBACK),
            *("--bind-port", str(self.node), "--listen-mode", "tcp", "--no-logo"),
            ready=answers(f"http://{ports.LOOPBACK}:{self.ingress}/restate/health"),
            settings={
                "RESTATE_INGRESS__BIND_PORT": str(self.ingress),
                "RESTATE_ADMIN__BIND_PORT": str(self.admin),
                "RESTATE_DISABLE_TELEMETRY": "true",
                "RESTATE_LOG_FILTER": "warn",
            },
        )

    def restate_service(self) -> Process:
        return self.process(
            "restate-service",
            *(self.python, "-m", "hypercorn", "tests.bench.peers.restate_app:app"),
            *("--config", "tests/bench/peers/hypercorn.toml"),
            *("--bind", f"{ports.LOOPBACK}:{self.service}", "--workers", str(RESTATE_SERVICE_WORKERS)),
            ready=listens(self.service),
        )

    def register_service(self) -> None:
        """Tell the server where the handlers are."""
        told = httpx.post(
            f"http://{ports.LOOPBACK}:{self.admin}/deployments",
            json={"uri": f"http://{ports.LOOPBACK}:{self.service}"},
            timeout=30.0,
            trust_env=False,
        )
        if told.is_error:
            raise LocalError(f"Restate did not take the service: {told.text}")

    def process(
        self, name: str, *argv: str, ready: ReadyCheck, settings: Mapping[str, str] | None = None
    ) -> Process:
        return Process(
            name=name,
            argv=argv,
            env={**self.environment, **(settings or {})},
            cwd=ROOT,
            ready=ready,
            # A stopped process ends by no other; nothing of theirs is kept.
            stop_signal=signal.SIGKILL,
        )
