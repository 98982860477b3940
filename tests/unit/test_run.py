"""`./manage.py test` takes the names of groups, or none."""

from __future__ import annotations

from pathlib import Path

import pytest

from compose.local import packages
from tests import browser, run
from tests.run import GROUPS, Result, Suite, keep_compiled, main, parse


def test_none_means_all() -> None:
    assert parse([]).only == []


@pytest.mark.parametrize("group", GROUPS)
def test_a_group(group: str) -> None:
    assert parse([group]).only == [group]


def test_an_unknown_group_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["everything"])
    assert "no such group: everything" in capsys.readouterr().err


@pytest.mark.parametrize("group", ["checks", "unit"])
def test_a_group_without_servers_installs_none(
    group: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("ORDER_SAGA_VAR", str(tmp_path))
    for module, name in ((packages, "find_or_install"), (browser, "find_or_install_browser")):
        monkeypatch.setattr(module, name, lambda *_: pytest.fail("a server is looked for"))
    passed = [Result(Suite("one", []), 0, 0.0, "no count of tests")]
    monkeypatch.setattr(run, "side_by_side", lambda *_: passed)
    assert main([group]) == 0
    assert capsys.readouterr().out.endswith("1 passed, 0 failed\n")


def test_what_python_compiles_is_kept_for_the_next_process() -> None:
    assert keep_compiled({"PATH": "/bin", "PYTHONDONTWRITEBYTECODE": "1"}) == {"PATH": "/bin"}
