"""How to tell that a process is ready: a check is asked again and again until it says yes."""

from collections.abc import Callable
from functools import cache
from typing import Protocol

import httpx

from compose.local import ports


class Running(Protocol):
    """What a check may look at."""

    def output(self) -> str:
        """What the process wrote since it was last started."""
        ...


ReadyCheck = Callable[[Running], bool]


@cache
def _client() -> httpx.Client:
    # Proxies from the environment must not be asked for loopback addresses.
    return httpx.Client(timeout=2.0, trust_env=False)


def answers(url: str) -> ReadyCheck:
    """Ready when GET `url` is answered with status 200."""

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
