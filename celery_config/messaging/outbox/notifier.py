"""The notifier wakes the relay after a commit with a datagram; losing one costs the time until the relay's next poll.

PostgreSQL's `NOTIFY` would do the same, for a quarter of the throughput of the transactions that send it.
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
POLL_SECONDS = 0.25
ADDRESS_SECONDS = 30
CALLS_AT_ONCE = 1000  # an endless flow of datagrams does not hold up the relay


@functools.cache
def sender_socket() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setblocking(False)
    return made


def notify_relay() -> None:
    """Tell the relay that there is something to publish."""
    if not settings.RELAY_WAKE:
        return
    period = int(time.monotonic() / ADDRESS_SECONDS)
    try:
        sender_socket().sendto(b".", resolve_address(settings.RELAY_WAKE, period))
    except OSError as error:  # it polls soon
        log.debug("the relay could not be called", error=repr(error))


@functools.lru_cache(maxsize=2)
def resolve_address(named: str, period: int = 0) -> tuple[str, int]:
    """Return `host:port` as an address.

    Args:
        period: a new number resolves the name again: a relay that was restarted may have another address.

    Raises:
        OSError: the host is not known now.
    """
    host, _, port = named.rpartition(":")
    found = socket.getaddrinfo(host, int(port), socket.AF_INET, socket.SOCK_DGRAM)
    return found[0][4][0], int(port)  # type: ignore[return-value]


class RelayListener:
    """The relay's side. One relay of a service is notified; others, on the same address, poll every `seconds`.

    Args:
        named: the address to listen at, `host:port`; empty: polling only.
        seconds: between two polls, where no notification can come.
    """

    def __init__(self, named: str, seconds: float) -> None:
        self.seconds = seconds
        self.notified = bind_socket(named)
        # A signal's handler runs only once `select` returns.
        wakes, self.signalled = socket.socketpair()
        self.signalled.setblocking(False)
        signal.set_wakeup_fd(self.signalled.fileno(), warn_on_full_buffer=False)
        self.sockets = [wakes]
        if self.notified:
            self.seconds = max(seconds, POLL_SECONDS)
            self.sockets.append(self.notified)

    def wait(self) -> bool:
        """Wait for a notification or a signal, at most until the next poll; return whether it was a notification."""
        ready, _, _ = select.select(self.sockets, [], [], self.seconds)
        for each in ready:
            with contextlib.suppress(BlockingIOError):
                for _ in range(CALLS_AT_ONCE):
                    each.recv(512, socket.MSG_DONTWAIT)
        return self.notified in ready


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
