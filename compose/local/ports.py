"""Free TCP ports on the loopback address."""

import fcntl
import os
import random
import socket
import tempfile
import threading
from contextlib import closing
from pathlib import Path

LOOPBACK = "127.0.0.1"

# Below the range from which systems take the source ports of outgoing connections (32768 and up on Linux):
# a client that keeps calling a stopped server could otherwise be given that very port and connect to itself,
# and the server could not come back on it.
_LOWEST, _HIGHEST = 20_000, 32_000

_claims: dict[int, int] = {}
"""The ports handed out by this process, each with the file descriptor that holds its claim."""
_lock = threading.Lock()


def is_free(port: int) -> bool:
    """Whether a server could listen on `port` of the loopback address now."""
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def _claim(port: int) -> bool:
    """Hold `port` against other processes of ours until this one ends.

    Between the choice of a port and its server's start some seconds pass, in which a second stack would choose the
    same one, and the first would take the second's answers for its own server's.
    """
    try:
        descriptor = os.open(
            Path(tempfile.gettempdir(), f"order-saga-port-{port}"), os.O_RDWR | os.O_CREAT, 0o666
        )
    except PermissionError:
        return False  # another person's
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return False
    _claims[port] = descriptor
    return True


def free_port(preferred: int | None = None) -> int:
    """Return `preferred` when it is free, else a free port that no process of ours was given.

    Raises:
        OSError: no port could be found.
    """
    with _lock:
        candidates = random.sample(range(_LOWEST, _HIGHEST), 200)
        for port in candidates if preferred is None else [preferred, *candidates]:
            if port not in _claims and is_free(port) and _claim(port):
                return port
    raise OSError(f"no free TCP port between {_LOWEST} and {_HIGHEST} on {LOOPBACK}")


def accepts(port: int, timeout: float = 1.0) -> bool:
    """Whether something accepts connections on `port` of the loopback address within `timeout` seconds."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=timeout):
            return True
    except OSError:
        return False
