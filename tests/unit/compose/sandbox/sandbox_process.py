"""The real sandbox as a process of its own, to be killed and started again."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[4]
SLOW_SECONDS = 0.6
TIMEOUT_SECONDS = 4.0


class SandboxProcess:
    """One sandbox on one port and one file, over any number of starts."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._port = _free_port()
        self._process: subprocess.Popen[str] | None = None
        self.url = f"http://127.0.0.1:{self._port}"

    def start(self) -> SandboxProcess:
        """Start it and wait for the line that says where it listens."""
        command = [sys.executable, "-m", "compose.sandbox", "--port", str(self._port)]
        command += ["--database", str(self._database), "--slow-seconds", str(SLOW_SECONDS)]
        command += ["--timeout-seconds", str(TIMEOUT_SECONDS)]
        self._process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == f"sandbox: {self.url}\n"
        return self

    def kill(self) -> None:
        """kill -9."""
        assert self._process is not None
        self._process.kill()
        self._process.communicate()

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self._process is not None
        self._process.terminate()
        self._process.communicate(timeout=10)
        return self._process.returncode

    def fault(self, path: str, kind: str, **more: Any) -> None:
        """Plan a fault for the next calls under `path`."""
        self.call("POST", "/control/faults", {"path": path, "kind": kind, **more})

    def clear_faults(self) -> None:
        """Forget every planned fault."""
        self.call("DELETE", "/control/faults")

    def forget_keys(self) -> None:
        """Forget every idempotency key, as a provider does after some time."""
        self.call("DELETE", "/control/keys")

    def calls(self, name: str) -> int:
        """How often an endpoint was called since the start."""
        return int(self.call("GET", "/control/stats")["calls"].get(name, 0))

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """A plain call that must succeed."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method)
        with urllib.request.urlopen(request, timeout=10) as response:
            answer: dict[str, Any] = json.load(response)
        return answer


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
