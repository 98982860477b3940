"""The processes of the peers: started once, and stopped (SIGSTOP) while another side is measured."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import httpx

from compose.local import ports
from compose.local.environment import ROOT
from compose.local.errors import LocalError
from compose.local.process import Process, ReadyCheck
from compose.local.readiness import answers, listens, says
from compose.local.stack import Stack
from tests.bench.loads import DBOS, RESTATE
from tests.bench.peers.home import PeerPackages

DBOS_WORKERS = 2
RESTATE_SERVICE_WORKERS = 2


class PeerSystem:
    """Starts with `start()` and stops with the stack, whose supervisor it uses.

    Args:
        environment: has the URLs of the databases, which the peers share with the bare chain.
    """

    def __init__(self, stack: Stack, environment: Mapping[str, str]) -> None:
        self.stack = stack
        self.packages = PeerPackages(stack.var / "peers")
        self.node, self.ingress, self.admin, self.service = (ports.free_port() for _ in range(4))
        self.environment = {**environment, "RESTATE_INGRESS": f"{ports.LOOPBACK}:{self.ingress}"}
        self.parts_of: dict[str, Sequence[str]] = {
            DBOS: [f"dbos-worker-{number}" for number in range(1, DBOS_WORKERS + 1)],
            RESTATE: ["restate-server", "restate-service"],
        }

    @property
    def python(self) -> str:
        return str(self.packages.python)

    def start(self) -> None:
        """Start all processes; their packages must be installed.

        Raises:
            LocalError: a process does not start.
        """
        for name in self.parts_of[DBOS]:  # one after the other: the first one makes the tables
            self.stack.supervisor.start([self.define_dbos_worker(name)])
        self.stack.supervisor.start([self.define_restate_server(), self.define_restate_service()])
        self.register_service()
        for names in self.parts_of.values():
            self.send_signal(names, signal.SIGSTOP)

    @contextmanager
    def run_only(self, side: str) -> Iterator[None]:
        """Let only the processes of this side run; no peer runs when it is none."""
        names = self.parts_of.get(side, ())
        self.send_signal(names, signal.SIGCONT)
        try:
            yield
        finally:
            self.send_signal(names, signal.SIGSTOP)

    def send_signal(self, names: Sequence[str], number: signal.Signals) -> None:
        for name in names:
            self.stack.supervisor.kill(name, number)

    def define_dbos_worker(self, name: str) -> Process:
        return self.define_process(
            name, self.python, "-m", "tests.bench.peers.dbos_worker", name, ready=says("carries out orders")
        )

    def define_restate_server(self) -> Process:
        data = self.packages.folder / "restate-data"
        shutil.rmtree(data, ignore_errors=True)
        return self.define_process(
            "restate-server",
            str(self.packages.restate_server),
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

    def define_restate_service(self) -> Process:
        return self.define_process(
            "restate-service",
            *(self.python, "-m", "hypercorn", "tests.bench.peers.restate_app:app"),
            *("--config", "tests/bench/peers/hypercorn.toml"),
            *("--bind", f"{ports.LOOPBACK}:{self.service}", "--workers", str(RESTATE_SERVICE_WORKERS)),
            ready=listens(self.service),
        )

    def register_service(self) -> None:
        """Give the server the address of the handlers."""
        answer = httpx.post(
            f"http://{ports.LOOPBACK}:{self.admin}/deployments",
            json={"uri": f"http://{ports.LOOPBACK}:{self.service}"},
            timeout=30.0,
            trust_env=False,
        )
        if answer.is_error:
            raise LocalError(f"Restate did not accept the service: {answer.text}")

    def define_process(
        self, name: str, *argv: str, ready: ReadyCheck, settings: Mapping[str, str] | None = None
    ) -> Process:
        return Process(
            name=name,
            argv=argv,
            env={**self.environment, **(settings or {})},
            cwd=ROOT,
            ready=ready,
            # A stopped process ends by no other signal, and no data of the peers are kept.
            stop_signal=signal.SIGKILL,
        )
