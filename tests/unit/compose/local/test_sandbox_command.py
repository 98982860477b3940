"""`./manage.py sandbox break|mend|show`, on a real sandbox."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from compose.local import running
from compose.local.sandbox import WAYS, main
from tests.unit.compose.sandbox.sandbox_process import SandboxProcess
from tests.unit.compose.sandbox.test_sandbox import payment, post, shipment


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    process = SandboxProcess(tmp_path_factory.mktemp("sandbox") / "sandbox.sqlite3").start()
    yield process
    assert process.stop() == 0


@pytest.fixture
def http(sandbox: SandboxProcess, monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
    monkeypatch.setenv("SANDBOX_URL", sandbox.url)
    monkeypatch.delenv("ENVIRONMENT", raising=False)
    with httpx.Client(base_url=sandbox.url) as client:
        yield client
    sandbox.clear_faults()


def pay(http: httpx.Client) -> int:
    return post(http, "/provider/authorizations", payment()).status_code


def send(http: httpx.Client) -> int:
    return post(http, "/carrier/shipments", shipment()).status_code


def test_one_side_fails_until_it_is_mended(http: httpx.Client, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["break", "carrier"]) == 0
    assert main(["break", "provider", "--count", "1"]) == 0
    assert "sandbox: 2 faults planned" in capsys.readouterr().out
    assert [send(http), send(http), pay(http), pay(http)] == [500, 500, 500, 201]
    assert main(["mend", "provider"]) == 0
    assert send(http) == 500
    assert main(["mend", "carrier"]) == 0
    assert "sandbox: 0 faults planned" in capsys.readouterr().out
    assert send(http) == 201


@pytest.mark.parametrize("how", WAYS)
def test_each_way_is_one_that_the_sandbox_knows(http: httpx.Client, how: str) -> None:
    assert main(["break", "provider", "--how", how, "--seconds", "0", "--count", "1"]) == 0
    assert main(["mend"]) == 0


def test_nothing_is_broken_in_production_or_where_nothing_runs(
    http: httpx.Client, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ENVIRONMENT", "production")
    assert main(["break", "carrier"]) == 1
    assert "This is production" in capsys.readouterr().err
    monkeypatch.delenv("SANDBOX_URL")
    monkeypatch.setattr(running, "find_running", lambda _: [])
    assert main(["show"]) == 1
    assert "Nothing is running" in capsys.readouterr().err


def test_a_sandbox_that_does_not_answer_is_said_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SANDBOX_URL", "http://127.0.0.1:1")
    assert main(["show"]) == 1
    assert "does not answer" in capsys.readouterr().err
