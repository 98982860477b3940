"""The supervisor, with processes of a line or two."""

import io
import os
import queue
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from rich.console import Console

from compose.local import held, ports, up
from compose.local.errors import ProcessFailed
from compose.local.output import LogPrinter
from compose.local.process import Process, ReadyCheck, at_once
from compose.local.readiness import answers, listens, says
from compose.local.supervisor import Supervisor

SLEEP = "import time; print('ready', flush=True); time.sleep(60)"
IGNORES_TERM = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);" + SLEEP
WITH_CHILD = (
    "import subprocess, sys; child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']);"
    "print('child', child.pid, flush=True);" + SLEEP
)
WAIT = 10.0


IS_READY = says("ready")


def python(name: str, code: str, ready: ReadyCheck = IS_READY) -> Process:
    return Process(name=name, argv=[sys.executable, "-c", code], ready=ready)


def is_gone(pid: int, timeout: float = WAIT) -> bool:
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.02)
    return False


def child_of(process: Process) -> int:
    return next(int(line.split()[1]) for line in process.output().splitlines() if line.startswith("child"))


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    supervisor = Supervisor(tmp_path)
    yield supervisor
    supervisor.stop()


def test_a_log_is_for_its_owner_alone(supervisor: Supervisor, tmp_path: Path) -> None:
    kept = tmp_path / "kept.log"
    kept.write_text("of an earlier start\n")
    kept.chmod(0o644)
    old, new = python("old", SLEEP), python("new", SLEEP)
    old.log = kept
    supervisor.start([old, new], timeout=WAIT)
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("kept.log", "new.log")] == [0o600] * 2
    assert old.output() == "ready\n"


def test_starts_in_parallel_and_writes_a_log_for_each(supervisor: Supervisor, tmp_path: Path) -> None:
    slow = "import time; time.sleep(0.5);" + SLEEP
    began = time.monotonic()
    supervisor.start([python(f"p{number}", slow) for number in range(4)], timeout=WAIT)
    assert time.monotonic() - began < 1.9
    assert [(tmp_path / f"p{number}.log").read_text() for number in range(4)] == ["ready\n"] * 4


def test_stop_ends_all_with_sigterm(supervisor: Supervisor) -> None:
    supervisor.start([python("a", SLEEP), python("b", SLEEP)], timeout=WAIT)
    supervisor.stop()
    assert [supervisor[name].exit_code for name in "ab"] == [-signal.SIGTERM] * 2
    assert supervisor.deaths.empty()


def test_stop_kills_who_does_not_listen(supervisor: Supervisor) -> None:
    supervisor.start([python("deaf", IGNORES_TERM)], timeout=WAIT)
    supervisor.stop(timeout=0.3)
    assert supervisor["deaf"].exit_code == -signal.SIGKILL


def test_nothing_starts_after_stop(supervisor: Supervisor) -> None:
    supervisor.stop()
    with pytest.raises(ProcessFailed, match="everything was stopped"):
        supervisor.start([python("late", SLEEP)])


def test_children_of_a_process_that_ended_are_ended(supervisor: Supervisor) -> None:
    supervisor.start([python("parent", WITH_CHILD)], timeout=WAIT)
    child = child_of(supervisor["parent"])
    supervisor.kill("parent", signal.SIGTERM)
    assert supervisor["parent"].wait(WAIT) == -signal.SIGTERM
    assert is_gone(child)


def test_kill_takes_the_whole_group(supervisor: Supervisor) -> None:
    supervisor.start([python("parent", WITH_CHILD)], timeout=WAIT)
    child = child_of(supervisor["parent"])
    supervisor.kill("parent")
    assert is_gone(child)
    assert supervisor.deaths.empty()


def test_restart_gives_a_new_process_and_appends_to_the_log(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.start([python("a", SLEEP)], timeout=WAIT)
    before = supervisor["a"].pid
    supervisor.restart("a", timeout=WAIT)
    assert supervisor["a"].pid != before
    assert (tmp_path / "a.log").read_text() == "ready\nready\n"
    assert supervisor["a"].output() == "ready\n"


def test_a_death_nobody_asked_for_is_reported_with_its_last_lines(supervisor: Supervisor) -> None:
    lines = "import time; [print('line', n) for n in range(30)];"
    code = lines + "print('ready', flush=True); time.sleep(0.5); exit(3)"
    supervisor.start([python("mortal", code)], timeout=WAIT)
    death = supervisor.deaths.get(timeout=WAIT)
    assert (death.name, death.exit_code) == ("mortal", 3)
    assert death.last_lines == [f"line {n}" for n in range(11, 30)] + ["ready"]
    assert "mortal ended unexpectedly (exit code 3)" in str(death)


def test_a_death_by_signal_names_it(supervisor: Supervisor) -> None:
    supervisor.start([python("a", SLEEP)], timeout=WAIT)
    os.kill(supervisor["a"].pid, signal.SIGKILL)
    assert "killed by SIGKILL" in str(supervisor.deaths.get(timeout=WAIT))


def test_a_stopped_and_continued_process_is_still_watched(supervisor: Supervisor) -> None:
    supervisor.start([python("a", SLEEP)], timeout=WAIT)
    supervisor.kill("a", signal.SIGSTOP)
    supervisor.kill("a", signal.SIGCONT)
    os.kill(supervisor["a"].pid, signal.SIGKILL)
    assert supervisor.deaths.get(timeout=WAIT).name == "a"


def test_a_death_before_readiness_fails_the_start(supervisor: Supervisor) -> None:
    with pytest.raises(ProcessFailed, match=r"(?s)broken ended.*exit code 1.*SystemExit|why"):
        supervisor.start([python("broken", "import sys; sys.exit('why')")], timeout=WAIT)


def test_not_ready_in_time_fails_the_start(supervisor: Supervisor) -> None:
    with pytest.raises(ProcessFailed, match=r"(?s)mute was not ready within 0 s:.*ready"):
        supervisor.start([python("mute", SLEEP, says("never"))], timeout=0.4)


def test_a_command_that_does_not_exist_says_so(supervisor: Supervisor) -> None:
    with pytest.raises(ProcessFailed, match=r"nothing cannot be started: .*no-such-command"):
        supervisor.start([Process(name="nothing", argv=["/no-such-command"])])


def test_a_task_runs_to_its_end(supervisor: Supervisor) -> None:
    supervisor.run(python("task", "print('done')"), timeout=WAIT)
    assert supervisor["task"].output() == "done\n"
    assert supervisor.deaths.empty()
    with pytest.raises(ProcessFailed, match=r"failing ended unexpectedly \(exit code 2\)"):
        supervisor.run(python("failing", "exit(2)"), timeout=WAIT)
    with pytest.raises(ProcessFailed, match="endless did not finish"):
        supervisor.run(python("endless", SLEEP), timeout=0.3)


def test_readiness_by_port_and_by_http(supervisor: Supervisor, tmp_path: Path) -> None:
    port = ports.free_port()
    argv = [sys.executable, "-m", "http.server", str(port), "--bind", ports.LOOPBACK]
    by_http = Process("http", argv, ready=answers(f"http://{ports.LOOPBACK}:{port}/"), cwd=tmp_path)
    supervisor.start([by_http], timeout=WAIT)
    assert listens(port)(by_http)
    assert not ports.is_free(port)
    supervisor.kill("http")
    assert not by_http.ready(by_http)
    assert not listens(port)(by_http)


def test_an_unknown_name_is_refused_with_the_known_ones(supervisor: Supervisor) -> None:
    supervisor.start([python("a", SLEEP, at_once)])
    with pytest.raises(ProcessFailed, match="there is no process 'b'; there are: a"):
        supervisor.kill("b")


def test_lines_are_printed_behind_the_name(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("of an earlier run\n")
    console = Console(record=True, width=80, file=io.StringIO())
    printer = LogPrinter(console)
    printer.follow("order-web", log)
    with open(log, "a") as file:
        file.write("first [bold]\n\x1b[31msecond\x1b[0m\nunfinished")
    printer.close()
    assert [line.split(maxsplit=1) for line in console.export_text().splitlines()] == [
        ["order-web", "first [bold]"],
        ["order-web", "second"],
    ]


@pytest.mark.parametrize(
    "first", ["", "os.kill(guardian._process.pid, signal.SIGKILL); guardian._process.wait()"]
)
def test_all_ends_when_we_are_killed(tmp_path: Path, first: str) -> None:
    """A process that starts a group and is killed leaves nothing behind, even if its guardian was killed before."""
    code = f"""
import os, signal, sys
from pathlib import Path
from compose.local.guardian import guardian
from compose.local.process import Process
from compose.local.supervisor import Supervisor
from compose.local.readiness import says
supervisor = Supervisor(Path({str(tmp_path)!r}))
supervisor.start([Process("parent", [sys.executable, "-c", {WITH_CHILD!r}], ready=says("ready"))])
{first}
supervisor.run(Process("ends", [sys.executable, "-c", ""]))
print(supervisor["parent"].pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    child = int((tmp_path / "parent.log").read_text().split()[1])
    assert is_gone(int(done.stdout))
    assert is_gone(child)


def test_a_port_given_to_one_process_is_not_given_to_another() -> None:
    port = ports.free_port()
    ask = f"from compose.local import ports; print(ports.free_port({port}))"
    other = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    assert int(other.stdout) != port


def test_what_is_held_is_not_started(supervisor: Supervisor) -> None:
    supervisor.start([python("a", SLEEP)], timeout=WAIT)
    supervisor.hold("a")
    with pytest.raises(ProcessFailed, match="it was stopped"):
        supervisor.restart("a", WAIT)
    assert not supervisor["a"].is_running
    supervisor.release("a")
    supervisor.restart("a", WAIT)


def test_up_starts_a_process_that_fails_once_at_a_time(
    supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each failure counted twice, so that twice as many tries followed."""
    monkeypatch.setattr(up, "_LONGEST_PAUSE", 0.0)
    with pytest.raises(ProcessFailed):
        supervisor.start([python("a", "")], timeout=WAIT)
    tries, most = queue.SimpleQueue[str](), 0
    trying: list[str] = []

    def restart(name: str) -> None:
        nonlocal most
        trying.append(name)
        most = max(most, len(trying))
        try:
            supervisor.restart(name, WAIT)
        finally:
            trying.remove(name)
            tries.put(name)

    stack = SimpleNamespace(var=tmp_path, supervisor=supervisor, restart=restart)
    restarter = up.Restarter(stack, Console(file=io.StringIO()))  # type: ignore[arg-type]
    for _ in range(5):
        death = supervisor.deaths.get(timeout=WAIT)
        if not restarter.is_expected(death.name):
            restarter.start_again(death.name)
        tries.get(timeout=WAIT)
    restarter.holder.services.add(held.read_service_name("a"))
    assert most == 1
