"""The guardian: a small process that stops everything we started when we end, even when we are killed.

It reads a pipe to which only we write. When we end, in whatever way, it reads the end of the file and stops every
process group that we named and did not take back. Linux could signal a child at the death of its parent
(PR_SET_PDEATHSIG), but that signal follows the *thread* that started the child, is lost when the child changes its
user, and does not reach grandchildren.

Run as a script, this file is that process. It imports only the standard library, so that it starts in 20 ms.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

_SECONDS_TO_END = 10.0


class Guardian:
    """Our end of the pipe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._watched: dict[int, signal.Signals] = {}

    def watch(self, group: int, stop_signal: signal.Signals) -> None:
        """Stop the process group `group` when we are gone: `stop_signal` to its leader first, then SIGKILL to all."""
        with self._lock:
            self._watched[group] = stop_signal
            self._send(f"watch {group} {int(stop_signal)}\n")

    def forget(self, group: int) -> None:
        """Take the group back: it has ended, and the system may give its number to another one."""
        with self._lock:
            self._watched.pop(group, None)
            self._send(f"forget {group}\n")

    def _send(self, line: str) -> None:
        """Tell the guardian; one that does not run is told everything."""
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(Path(__file__).resolve())],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                text=True,
                start_new_session=True,
            )
            line = "".join(f"watch {group} {int(number)}\n" for group, number in self._watched.items())
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line)
            self._process.stdin.flush()
        except BrokenPipeError:  # it has just ended
            self._process = None
            self._send(line)


guardian = Guardian()


def _is_alive(leader: int) -> bool:
    try:
        os.kill(leader, 0)
    except ProcessLookupError:
        return False
    return True


def kill_group(group: int) -> None:
    """Kill every process of the group, if there is one."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def _stop_groups(groups: dict[int, signal.Signals]) -> None:
    for group, stop_signal in groups.items():
        with contextlib.suppress(ProcessLookupError):
            os.kill(group, stop_signal)
    deadline = time.monotonic() + _SECONDS_TO_END
    while groups and time.monotonic() < deadline:
        for group in [group for group in groups if not _is_alive(group)]:
            del groups[group]
            kill_group(group)
        time.sleep(0.05)
    for group in groups:
        kill_group(group)


def _read_groups() -> dict[int, signal.Signals]:
    groups: dict[int, signal.Signals] = {}
    for line in sys.stdin:
        match line.split():
            case ["watch", group, number]:
                groups[int(group)] = signal.Signals(int(number))
            case ["forget", group]:
                groups.pop(int(group), None)
    return groups


if __name__ == "__main__":
    _stop_groups(_read_groups())
