"""`./manage.py verify` runs every long check, keeps what came of each, and goes on where it was stopped."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from manage import SYSTEM_COMMANDS
from tests import verify
from tests.verify import CHECKS, Check, find_commit, main

Ran = Callable[[], list[str]]


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Ran:
    """Return the checks that were run since the last call, in a system of three; `bad` fails until a file is there."""
    monkeypatch.setenv("ORDER_SAGA_VAR", str(tmp_path / "var"))
    done = tmp_path / "done"
    (tmp_path / "manage.py").write_text(
        "import pathlib, sys\n"
        f"open({str(done)!r}, 'a').write(sys.argv[1] + ' ')\n"
        "import os\n"
        "print('much', '1 violations' if os.environ.get('LONG_FORM') else 'short', sep='\\n')\n"
        f"sys.exit(sys.argv[1] == 'bad' and not pathlib.Path({str(tmp_path / 'mended')!r}).exists())\n"
    )
    monkeypatch.setattr(verify, "ROOT", tmp_path)
    monkeypatch.setattr(verify, "CHECKS", tuple(Check(name, (name,), 1) for name in ("one", "bad", "two")))
    monkeypatch.setattr(verify, "find_commit", lambda: "abc")

    def take() -> list[str]:
        found = done.read_text().split() if done.exists() else []
        done.unlink(missing_ok=True)
        return found

    return take


def test_each_check_is_a_command_and_has_a_name_of_its_own() -> None:
    assert {check.argv[0] for check in CHECKS} <= {*SYSTEM_COMMANDS}
    assert len({check.name for check in CHECKS}) == len(CHECKS)


def test_runs_all_and_says_what_came_of_each(ran: Ran, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 1
    assert ran() == ["one", "bad", "two"]
    output = capsys.readouterr().out
    assert output.splitlines()[-1] == "verify: 3 checks, 1 failed"
    assert (output.count("1 violations"), output.count("exit 1"), output.count("passed")) == (3, 1, 2)


def test_goes_on_with_what_has_not_passed(ran: Ran, tmp_path: Path) -> None:
    main([])
    assert ran() == ["one", "bad", "two"]
    (tmp_path / "mended").touch()
    assert main([]) == 0
    assert ran() == ["bad"]
    assert main([]) == 0
    assert ran() == []
    assert main(["--again"]) == 0
    assert ran() == ["one", "bad", "two"]


@pytest.mark.parametrize("commit", ["def", ""])
def test_at_another_commit_or_with_changes_all_run_again(
    ran: Ran, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, commit: str
) -> None:
    (tmp_path / "mended").touch()
    main([])
    assert ran() == ["one", "bad", "two"]
    monkeypatch.setattr(verify, "find_commit", lambda: commit)
    assert main([]) == 0
    assert ran() == ["one", "bad", "two"]


def test_one_by_name_runs_although_it_has_passed(ran: Ran) -> None:
    main([])
    assert ran() == ["one", "bad", "two"]
    assert main(["two"]) == 0
    assert ran() == ["two"]


def test_an_unknown_name_and_a_list_run_nothing(ran: Ran, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["three"])
    assert "no such check: three; there are one, bad, two" in capsys.readouterr().err
    assert main(["--list"]) == 0
    assert "./manage.py bad" in capsys.readouterr().out
    assert ran() == []


def test_a_checkout_with_changes_has_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "ROOT", tmp_path)
    assert find_commit() == ""  # no checkout at all
    git = ("git", "-c", "user.name=x", "-c", "user.email=x@example.org")
    subprocess.run([*git, "init", "--quiet"], cwd=tmp_path, check=True)
    subprocess.run([*git, "commit", "--quiet", "--allow-empty", "-m", "x"], cwd=tmp_path, check=True)
    assert len(find_commit()) == 40
    (tmp_path / "new").touch()
    assert find_commit() == ""
