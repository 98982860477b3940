"""The parent of a service's processes: it loads the code once, and its other processes are forks of it.

Run as `python -m compose.local.service_parent SERVICE FD`. At the socket FD it reads commands, each with the file for
its output, and writes which process carries one out and with which code it ended; the other end is `forks.py`. In its
memory is nothing that a fork must not share: no thread, no connection.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from celery_config.common.services import SERVICES
from compose.local.roles import list_roles

LONGEST_MESSAGE = 65536
# What they load only when they run.
LOADED_LATE = ("celery.concurrency.thread", "celery.worker.worker", "celery.worker.consumer")
SIGNALS = (signal.SIGCHLD, signal.SIGTERM)


def main(argv: Sequence[str]) -> int:
    service, descriptor = argv
    load(service)
    command = fork_on_request(socket.socket(fileno=int(descriptor)))
    if command is None:
        return 0
    sys.argv = command
    run: Callable[[list[str]], int] = importlib.import_module("manage").run
    return run(command)


def load(service: str) -> None:
    """Load what the processes of a service need, without a thread and without a connection."""
    os.environ["DJANGO_SETTINGS_MODULE"] = SERVICES[service].settings_module
    import django
    from celery import current_app
    from django.conf import settings
    from django.core.management import get_commands, load_command_class

    django.setup()
    for name in list_roles(service):
        load_command_class(get_commands()[name], name)
    current_app.loader.import_default_modules()
    for module in (settings.ROOT_URLCONF, *LOADED_LATE):
        importlib.import_module(module)
    gc.collect()
    gc.freeze()


def fork_on_request(line: socket.socket) -> list[str] | None:
    """Fork for each command that comes; return the command in the fork, and None in the parent when it shall end.

    The first message says that the code is loaded. The parent ends when the other end of the socket is closed, and asks
    its forks to end, too; after SIGTERM it ends when its last fork has ended.
    """
    wake, ring = socket.socketpair()
    for end in (wake, ring):
        end.setblocking(False)
    signal.set_wakeup_fd(ring.fileno())
    for number in SIGNALS:
        signal.signal(number, lambda *_: None)
    forks = set[int]()
    shall_end = False
    with contextlib.suppress(BrokenPipeError):
        tell(line, loaded=True)
        while forks or not shall_end:
            ready, _, _ = select.select([line, wake], [], [])
            if wake in ready:
                shall_end = shall_end or signal.SIGTERM in wake.recv(LONGEST_MESSAGE)
                while forks and (ended := os.waitpid(-1, os.WNOHANG))[0]:
                    pid, status = ended
                    forks.remove(pid)
                    tell(line, pid=pid, code=os.waitstatus_to_exitcode(status))
            if line in ready:
                message, files, _, _ = socket.recv_fds(line, LONGEST_MESSAGE, 1)
                if not message:  # the other end is gone, and with it what would end them
                    for pid in forks:
                        os.kill(pid, signal.SIGTERM)
                    return None
                # A signal to the fork waits until it has its own way with signals.
                signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
                if (pid := os.fork()) == 0:
                    command = list[str](json.loads(message))
                    become_process(files[0], [line, wake, ring], name=" ".join(command[1:3]))
                    return command
                signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
                os.close(files[0])
                forks.add(pid)
                tell(line, pid=pid)
    return None


def tell(line: socket.socket, **message: Any) -> None:
    line.send(json.dumps(message).encode())


def become_process(output: int, parents: Sequence[socket.socket], *, name: str) -> None:
    """Make a fork a process of its own: its session, its output, and nothing of its parent's sockets and signals."""
    os.setsid()
    with contextlib.suppress(OSError):  # a name for people; only Linux takes it
        Path("/proc/self/comm").write_text(name)
    signal.set_wakeup_fd(-1)
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    for each in parents:
        each.close()
    for stream in (1, 2):
        os.dup2(output, stream)
    os.close(output)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
