"""Readiness checks: each says whether a process is ready, and is repeated until it says yes."""

from functools import cache

import httpx

from compose.local import ports
from compose.local.process import Process, ReadyCheck


@cache
def _client() -> httpx.Client:
    # Loopback addresses must not go through a proxy that the environment names.
    return httpx.Client(timeout=2.0, trust_env=False)


def answers(url: str) -> ReadyCheck:
    """Ready when GET `url` returns status 200."""

    def check(_: Process) -> bool:
        try:
            return _client().get(url).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    return check


def listens(port: int) -> ReadyCheck:
    """Ready when the loopback `port` accepts connections."""
    return lambda _: ports.accepts(port)


def says(text: str) -> ReadyCheck:
    """Ready when `text` occurs in the process's output."""
    return lambda process: text in process.output()
