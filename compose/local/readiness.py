"""Readiness checks: each says whether a process is ready, and is repeated until it says yes."""

from collections.abc import Callable
from functools import cache
from typing import Protocol

import httpx

from compose.local import ports


class Running(Protocol):
    """The part of a process that a check may read."""

    def output(self) -> str:
        """Return what the process wrote since its last start."""
        ...


ReadyCheck = Callable[[Running], bool]


@cache
def _client() -> httpx.Client:
    # Loopback addresses must not go through a proxy that the environment names.
    return httpx.Client(timeout=2.0, trust_env=False)


def answers(url: str) -> ReadyCheck:
    """Ready when GET `url` returns status 200."""

    def check(_: Running) -> bool:
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


def at_once(_: Running) -> bool:
    """Ready as soon as it runs."""
    return True
