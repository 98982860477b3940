"""`./manage.py test` takes the names of groups, or none."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest

from celery_config.common.services import SERVICES
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


def test_a_service_suite_asks_no_service_of_a_stack_that_runs_here() -> None:
    suite = run.service_suite(cast(Any, SimpleNamespace(url=lambda name: f"postgresql://{name}")), "order")
    urls = [suite.env[f"{service.upper()}_URL"] for service in SERVICES]
    assert len(set(urls)) == len(SERVICES), "fakes tell the services apart by their ports"
    assert not {httpx.URL(url).port for url in [*urls, suite.env["SANDBOX_URL"]]} & {
        8090, *(service.port for service in SERVICES.values()),
    }  # fmt: skip
