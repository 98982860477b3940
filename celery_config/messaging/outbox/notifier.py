"""Wakes the relay when a row was committed: a datagram to the address it listens at.

A datagram that is lost, or sent to a relay that is not there, costs the time until the relay's next look by itself.
`NOTIFY` would do the same, for a quarter of the throughput of the transactions that send it.
"""

from __future__ import annotations

import contextlib
import functools
import select
import signal
import socket
import time

import structlog
from django.conf import settings

log = structlog.get_logger(__name__)
LOOK_SECONDS = 0.25
ADDRESS_SECONDS = 30
CALLS_AT_ONCE = 1000  # whoever calls without end keeps nobody here


@functools.cache
def sender_socket() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setblocking(False)
    return made


def notify_relay() -> None:
    """Say that there is something to publish."""
    if not settings.RELAY_WAKE:
        return
    try:
        sender_socket().sendto(
            b".", resolve_address(settings.RELAY_WAKE, int(time.monotonic() / ADDRESS_SECONDS))
        )
    except OSError as error:  # it looks by itself before long
        log.debug("the relay could not be called", error=repr(error))


@functools.lru_cache(maxsize=2)
def resolve_address(named: str, asked: int = 0) -> tuple[str, int]:
    """`host:port` as an address.

    Args:
        asked: another number asks anew: a relay that was restarted may have another address.

    Raises:
        OSError: there is no such host at present.
    """
    host, _, port = named.rpartition(":")
    found = socket.getaddrinfo(host, int(port), socket.AF_INET, socket.SOCK_DGRAM)
    return found[0][4][0], int(port)  # type: ignore[return-value]


class RelayListener:
    """The relay's side. Of several relays of a service one is called; the others look every `seconds`.

    Args:
        named: where to listen, `host:port`; empty: nobody calls.
        seconds: between two looks, when nobody can call.
    """

    def __init__(self, named: str, seconds: float) -> None:
        self.seconds = seconds
        self.called = bind_socket(named)
        self.hears = [self.called] if self.called else []
        if self.called:
            self.seconds = max(seconds, LOOK_SECONDS)
        # A signal's handler runs only once `select` returns.
        signalled, self.told = socket.socketpair()
        self.told.setblocking(False)
        self.hears.append(signalled)
        signal.set_wakeup_fd(self.told.fileno(), warn_on_full_buffer=False)

    def wait(self) -> bool:
        """Wait for a call or a signal, at most until the next look; say whether somebody called."""
        heard, _, _ = select.select(self.hears, [], [], self.seconds)
        for each in heard:
            with contextlib.suppress(BlockingIOError):
                for _ in range(CALLS_AT_ONCE):
                    each.recv(512, socket.MSG_DONTWAIT)
        return self.called in heard


def bind_socket(named: str) -> socket.socket | None:
    if not named:
        return None
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        made.bind(resolve_address(named))
    except OSError as error:
        made.close()
        log.warning("nobody can call this relay: it looks by itself", address=named, error=repr(error))
        return None
    return made
