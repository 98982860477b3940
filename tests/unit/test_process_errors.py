"""The report of a failed acceptance test shows what the processes have logged as errors since it began."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.acceptance.process_errors import MAX_LINES, find_errors, measure_logs, read_errors

pytest_plugins = ["pytester"]
OLD = json.dumps({"level": "error", "event": "of the test before"})
CRASH = ["Traceback (most recent call last):", '  File "x.py", line 1', "ValueError: no", "all is well again"]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "stack0" / "log" / "order-web.log"
    path.parent.mkdir(parents=True)
    path.write_text(OLD + "\n")
    return path


def test_errors_and_tracebacks_and_nothing_else() -> None:
    told = json.dumps({"level": "error", "event": "a duty failed", "exception": "Traceback\nKeyError: 'x'"})
    loud = "2026-11-29 23:17:40 UTC [7] order@order ERROR:  deadlock detected"
    lines = [json.dumps({"level": "info", "event": "placed"}), told, "plain", *CRASH, loud, "[]"]
    errors = json.dumps({"level": "error", "event": "a duty failed"})
    assert list(find_errors(lines)) == [errors, "Traceback", "KeyError: 'x'", *CRASH[:3], loud]


def test_only_what_came_since(tmp_path: Path, log: Path) -> None:
    before = measure_logs(tmp_path)
    assert read_errors(tmp_path, before) == ""
    with log.open("a") as file:
        file.write("\n".join(CRASH))
    log.with_name("new.log").write_text("CRITICAL: no port")
    assert read_errors(tmp_path, before).splitlines() == [
        "new: CRITICAL: no port", *(f"order-web: {line}" for line in CRASH[:3]),
    ]  # fmt: skip


def test_a_log_that_began_anew_is_read_from_its_start(tmp_path: Path, log: Path) -> None:
    before = {log: 10_000}
    assert "of the test before" in read_errors(tmp_path, before)


def test_what_servers_keep_is_not_looked_through(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "x.log").write_text("ERROR")
    assert measure_logs(tmp_path) == {}


def test_the_first_and_the_last_of_many(tmp_path: Path, log: Path) -> None:
    log.write_text("".join(f"ERROR {n} {'x' * 1000}\n" for n in range(1000)))
    lines = read_errors(tmp_path, {}).splitlines()
    assert len(lines) == MAX_LINES + 1
    assert ("ERROR 0 " in lines[0], "ERROR 999 " in lines[-1]) == (True, True)
    assert max(map(len, lines)) < 500


@pytest.mark.parametrize("fails_in", ["the stack", "the test"])
def test_the_report_shows_them(pytester: pytest.Pytester, fails_in: str) -> None:
    names = "_log_sizes, log_folder, pytest_runtest_makereport"
    pytester.makeconftest(f"from tests.acceptance.conftest import {names}  # noqa: F401")
    pytester.makepyfile(f"""
        import pytest

        @pytest.fixture(scope="session")
        def stack(tmp_path_factory):
            log = tmp_path_factory.mktemp("stack") / "order-web.log"
            log.write_text("ERROR at the start\\n")
            assert {fails_in!r} != "the stack"
            return log

        def test_that_passes(stack):
            pass

        def test_that_fails(stack):
            with stack.open("a") as log:
                log.write("ERROR in the test\\n")
            assert False
    """)
    output = pytester.runpytest_inprocess("-p", "no:django").stdout.str()
    assert "errors of processes since the test began" in output
    at_the_start, in_the_test = (
        "order-web: ERROR " + when in output for when in ("at the start", "in the test")
    )
    assert (at_the_start, in_the_test) == ((True, False) if fails_in == "the stack" else (False, True))
