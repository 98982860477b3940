"""Forks of a parent: their environment, output, signals and ends; what becomes of them when the parent dies."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from compose.local.forks import ServiceParent
from compose.local.process import Process
from compose.local.supervisor import Supervisor
from tests.unit.compose.local.test_supervisor import is_gone

WAIT = 20.0
# A parent that has nothing to load, and commands that end as the test says.
PARENT = """
import os, signal, sys, time, types
from compose.local import service_parent

def run(argv):
    print(*argv, "in", os.environ["PLACE"], flush=True)
    if argv[1] == "stay":
        signal.pause()
    return int(argv[2])

service_parent.load = lambda service: None
sys.modules["manage"] = types.SimpleNamespace(run=run)
sys.exit(service_parent.main(["order", sys.argv[1]]))
"""
ENVIRONMENT = {**os.environ, "PLACE": "parent"}


class Parent(ServiceParent):
    def make_command(self, descriptor: int) -> list[str]:
        return [sys.executable, "-c", PARENT, str(descriptor)]


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    supervisor = Supervisor(tmp_path)
    yield supervisor
    supervisor.stop()


@pytest.fixture
def parent(supervisor: Supervisor) -> Parent:
    parent = Parent("order", ENVIRONMENT)
    supervisor.start([parent])
    return parent


def define(parent: Parent, *command: str, **env: str) -> Process:
    argv = [sys.executable, "manage.py", *command]
    return Process(command[0], argv, {**ENVIRONMENT, **env}, fork=parent.make_fork)


def find_parent(process: Process) -> int:
    return psutil.Process(process.pid).ppid()


def test_a_fork_has_its_own_session_output_and_exit_code(supervisor: Supervisor, parent: Parent) -> None:
    stays, ends = define(parent, "stay"), define(parent, "end", "3")
    supervisor.start([stays, ends])
    assert ends.wait(WAIT) == 3
    assert ends.output() == "manage.py end 3 in parent\n"
    assert supervisor.deaths.get(timeout=WAIT).name == "end"
    assert (find_parent(stays), os.getsid(stays.pid)) == (parent.pid, stays.pid)
    stays.stop()
    assert stays.exit_code == -signal.SIGTERM
    assert supervisor.deaths.empty()
    supervisor.restart("stay")
    assert find_parent(stays) == parent.pid


def test_another_environment_is_no_fork(supervisor: Supervisor, parent: Parent) -> None:
    other = define(parent, "stay", PLACE="elsewhere")
    other.argv = [sys.executable, "-c", "import signal; signal.pause()"]
    supervisor.start([other])
    assert find_parent(other) == os.getpid()


def test_forks_end_with_their_parent_and_start_without_it(supervisor: Supervisor, parent: Parent) -> None:
    child = define(parent, "stay")
    supervisor.start([child])
    pid = child.pid
    os.kill(parent.pid, signal.SIGKILL)
    deaths = {supervisor.deaths.get(timeout=WAIT).name for _ in range(2)}
    assert deaths == {"order-parent", "stay"}
    assert child.exit_code == -signal.SIGKILL
    assert is_gone(pid)
    child.argv = [sys.executable, "-c", "import signal; signal.pause()"]
    supervisor.restart("stay")
    assert find_parent(child) == os.getpid()
    supervisor.restart("order-parent")
    supervisor.restart("stay")
    assert find_parent(child) == parent.pid


def test_a_parent_that_cannot_load_is_no_parent(supervisor: Supervisor) -> None:
    class Broken(ServiceParent):
        def make_command(self, descriptor: int) -> list[str]:
            return [sys.executable, "-c", "raise SystemExit('no such module')"]

    with pytest.raises(Exception, match="no such module"):
        supervisor.start([Broken("order", ENVIRONMENT)])


def test_it_stays_until_its_last_fork_has_ended(supervisor: Supervisor, parent: Parent) -> None:
    child = define(parent, "stay")
    supervisor.start([child])
    parent.send(signal.SIGTERM)
    late = define(parent, "end", "0")
    supervisor.run(late)
    assert parent.is_running
    child.stop()
    assert parent.wait(WAIT) == 0


def test_forks_end_when_the_other_end_of_the_line_is_gone(supervisor: Supervisor, parent: Parent) -> None:
    child = define(parent, "stay")
    supervisor.start([child])
    assert parent._line is not None
    parent._line._line.shutdown(socket.SHUT_RDWR)
    assert parent.wait(WAIT) == 0
    assert is_gone(child.pid)
