"""What many threads have freed is free: a worker makes its calls in up to 128 of them."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from celery_config.common.services import SERVICES
from compose.local import environment
from compose.local.environment import Addresses

THREADS = 32
# Of each size up to a kilobyte that Python asks glibc for, as many pieces as glibc would keep for a thread.
KEPT = f"""
import ctypes, threading
class Heap(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in "a b c d e f g used free top".split()]
libc = ctypes.CDLL("libc.so.6")
libc.mallinfo2.restype = Heap
freed, measured = threading.Barrier({THREADS} + 1), threading.Event()
def work():
    pieces = [bytes(size) for size in range(520, 980, 16) for _ in range(7)]
    del pieces
    freed.wait()
    measured.wait()
before = libc.mallinfo2().used
threads = [threading.Thread(target=work) for _ in range({THREADS})]
for thread in threads:
    thread.start()
freed.wait()
print((libc.mallinfo2().used - before) // {THREADS})
measured.set()
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another allocator")
def test_a_thread_keeps_nothing_that_it_has_freed(tmp_path: Path) -> None:
    """A worker's heap grew by 30 MB within an hour of steps over REST."""
    env = environment.build(
        "embedded", var=tmp_path, addresses=Addresses(dict.fromkeys(SERVICES, 1), 1, 1), environ={}
    )
    done = subprocess.run(
        [sys.executable, "-c", KEPT], env={**os.environ, **env}, capture_output=True, check=True
    )
    assert int(done.stdout) < 20_000
