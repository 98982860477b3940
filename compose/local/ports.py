"""Free TCP ports on the loopback address."""

import random
import socket
import threading
from contextlib import closing

LOOPBACK = "127.0.0.1"

# Below the range from which systems take the source ports of outgoing connections (32768 and up on Linux):
# a client that keeps calling a stopped server could otherwise be given that very port and connect to itself,
# and the server could not come back on it.
_LOWEST, _HIGHEST = 20_000, 32_000

_given: set[int] = set()
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


def free_port(preferred: int | None = None) -> int:
    """Return `preferred` when it is free, else a free port this process has not handed out before.

    Raises:
        OSError: no port could be found.
    """
    with _lock:
        candidates = random.sample(range(_LOWEST, _HIGHEST), 200)
        for port in candidates if preferred is None else [preferred, *candidates]:
            if port not in _given and is_free(port):
                _given.add(port)
                return port
    raise OSError(f"no free TCP port between {_LOWEST} and {_HIGHEST} on {LOOPBACK}")


def accepts(port: int, timeout: float = 1.0) -> bool:
    """Whether something accepts connections on `port` of the loopback address within `timeout` seconds."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=timeout):
            return True
    except OSError:
        return False
