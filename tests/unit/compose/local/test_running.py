"""How a command finds the stack that runs, and what it says when none does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from compose.local import running
from tests.unit.command_line import manage


@pytest.mark.parametrize(
    "command",
    [
        ("order", "audit"),
        ("order", "import_orders", "x.csv"),
        ("payment", "reconcile"),
        ("shipment", "reconcile"),
    ],
)
def test_without_a_stack_a_command_that_asks_it_says_so(tmp_path: Path, command: tuple[str, ...]) -> None:
    var = tmp_path / "var"
    done = manage(var, *command)
    told = f"Nothing is running in {var}: start it with `make up` in another terminal.\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", told)
    assert not var.exists()


def write_announcement(folder: Path, pid: int) -> None:
    folder.mkdir(exist_ok=True)
    told = {"pid": pid, "command": ["python", "manage.py", "up"], "environment": {}, "flower": ""}
    (folder / running.FILE).write_text(json.dumps(told))


def test_a_stack_that_was_killed_is_none(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    write_announcement(tmp_path, gone.pid)
    assert "Nothing is running" in manage(tmp_path, "order", "audit").stderr


def test_another_process_with_its_number_is_no_stack(tmp_path: Path) -> None:
    write_announcement(tmp_path, os.getpid())
    assert running.find_running(tmp_path) == []


def test_a_broken_announcement_is_named(tmp_path: Path) -> None:
    file = tmp_path / running.FILE
    file.write_text("{")
    done = manage(tmp_path, "order", "audit")
    told = f"{file} cannot be read as a JSON object: restore it, or delete it and it is made again\n"
    assert (done.returncode, done.stderr) == (1, told)


def test_help_needs_no_stack(tmp_path: Path) -> None:
    assert manage(tmp_path, "order", "audit", "--help").returncode == 0


def test_an_address_is_taken_at_its_word(tmp_path: Path) -> None:
    """The embedded processes have no server, and yet know each other."""
    done = manage(
        tmp_path, "payment", "reconcile", PAYMENT_URL="http://127.0.0.1:9", SANDBOX_URL="http://127.0.0.1:9"
    )
    assert done.returncode == 2
    assert "books cannot be read" in done.stderr


def test_joining(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDER_SAGA_VAR", str(tmp_path))
    monkeypatch.setenv("LOG_LEVEL", "WARNING")
    monkeypatch.setenv("ORDER_URL", "")  # so that it is put back as it was
    monkeypatch.delenv("ORDER_URL")
    stack = {
        "ORDER_SAGA_VAR": str(tmp_path / "demo"),
        "ORDER_URL": "http://127.0.0.1:1",
        "LOG_LEVEL": "DEBUG",
    }
    with running.announce(tmp_path / running.DEMO, stack):
        assert running.join_stack(tmp_path, "order")
        joined = {name: os.environ[name] for name in stack}
    assert joined == stack | {"LOG_LEVEL": "WARNING"}
    assert not running.join_stack(tmp_path, "order")


def test_up_and_demo_do_not_touch_each_other(tmp_path: Path) -> None:
    demo = {"ORDER_SAGA_VAR": str(tmp_path / running.DEMO)}
    with running.announce(tmp_path, {"ORDER_SAGA_VAR": str(tmp_path)}, flower="http://f"):
        with running.announce(tmp_path / running.DEMO, demo):
            assert [found.environment["ORDER_SAGA_VAR"] for found in running.find_running(tmp_path)] == [
                str(tmp_path),
                demo["ORDER_SAGA_VAR"],
            ]
        assert [found.flower for found in running.find_running(tmp_path)] == ["http://f"]
    assert running.find_running(tmp_path) == []


def test_only_its_writer_removes_an_announcement(tmp_path: Path) -> None:
    with running.announce(tmp_path, {"A": "1"}):
        write_announcement(tmp_path, os.getpid())
    assert (tmp_path / running.FILE).exists()
