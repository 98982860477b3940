"""Log files grow for a limited time and to a limited size, and what follows them goes on."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from compose.local import rollover
from compose.local.output import LogPrinter
from compose.local.process import Process
from compose.local.rollover import LogRollover
from tests.modes import find_open


def write(log: Path, text: str) -> None:
    """Append as a process does that opened its file long ago."""
    with open(log, "a") as file:
        file.write(text)


def test_a_log_that_is_large_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollover, "MOST_BYTES", 10)
    keeper = LogRollover(tmp_path)
    small, large = tmp_path / "small.log", tmp_path / "large.log"
    for log, text in ((small, "short\n"), (large, "x" * 11)):
        log.touch(mode=0o600)
        write(log, text)
    with open(large, "a") as writer:
        keeper.look()
        writer.write("more")
    assert (small.read_text(), large.read_text()) == ("short\n", "more")
    assert (tmp_path / "large.log.1").read_text() == "x" * 11
    tmp_path.chmod(0o700)
    assert find_open(tmp_path) == []


def test_no_line_is_older_than_two_weeks(tmp_path: Path) -> None:
    now = 0.0
    keeper = LogRollover(tmp_path, clock=lambda: now)
    log = tmp_path / "web.log"
    write(log, "first\n")
    keeper.look()
    assert log.read_text() == "first\n"
    now = rollover.MOST_SECONDS + 1
    keeper.look()
    write(log, "second\n")
    keeper.look()
    assert (log.read_text(), (tmp_path / "web.log.1").read_text()) == ("second\n", "first\n")
    now *= 2
    keeper.look()
    assert (log.read_text(), (tmp_path / "web.log.1").read_text()) == ("", "second\n")


def test_what_follows_a_log_goes_on_after_it(tmp_path: Path) -> None:
    process = Process(name="says", argv=["echo", "before"], log=tmp_path / "says.log")
    process.start(is_task=True)
    process.wait_until_done()
    process.start(is_task=True)  # its output begins where that of the first start ended
    process.wait_until_done()
    assert process.log is not None
    console = Console(file=io.StringIO(), record=True)
    printer = LogPrinter(console)
    printer.follow("says", process.log)
    rollover.roll_over(process.log)
    write(process.log, "after\n")
    printer.close()
    assert process.last_lines() == ["after"]
    assert "after" in console.export_text()
