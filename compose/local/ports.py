"""Free TCP ports on the loopback address: no two processes of ours get the same one."""

import random
import socket
import tempfile
import threading
from contextlib import closing
from pathlib import Path

from compose.local.claims import claim_file

LOOPBACK = "127.0.0.1"

# Below the range from which systems take the source ports of outgoing connections (32768 and up on Linux). A client
# that keeps calling a stopped server could otherwise get that very port and connect to itself, and the server could
# not listen on it again.
_LOWEST, _HIGHEST = 20_000, 32_000

_claimed: set[int] = set()
"""The ports that this process has given out."""
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

    Between the choice of a port and the start of its server some seconds pass. A second stack would choose the same
    port then, and the first would take the second's answers for those of its own server.
    """
    try:
        descriptor = claim_file(Path(tempfile.gettempdir(), f"order-saga-port-{port}"), 0o666)
    except PermissionError:
        return False
    if descriptor is not None:
        _claimed.add(port)
    return descriptor is not None


def take(port: int) -> bool:
    """Hold `port` if a server could listen on it now; say whether it is held."""
    with _lock:
        return is_free(port) and (port in _claimed or _claim(port))


def free_port(preferred: int | None = None) -> int:
    """Return `preferred` when it is free, else a free port that no process of ours has.

    Raises:
        OSError: no port is free.
    """
    with _lock:
        candidates = random.sample(range(_LOWEST, _HIGHEST), 200)
        for port in candidates if preferred is None else [preferred, *candidates]:
            if port not in _claimed and is_free(port) and _claim(port):
                return port
    raise OSError(f"no free TCP port between {_LOWEST} and {_HIGHEST} on {LOOPBACK}")


def accepts(port: int, timeout: float = 1.0) -> bool:
    """Whether something accepts connections on `port` of the loopback address within `timeout` seconds."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=timeout):
            return True
    except OSError:
        return False
