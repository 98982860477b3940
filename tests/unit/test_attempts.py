"""What tests tried is kept in pytest's report, and shown as a table."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from tests import forgery, permissions
from tests.attempts import Attempt, read_attempts

pytest_plugins = ["pytester"]
CALL = "GET /api/orders/<uuid:pk>/"


@pytest.fixture
def report(pytester: pytest.Pytester) -> Path:
    """Of two tests that noted three attempts."""
    pytester.makepyfile(f"""
        from tests.attempts import note_attempt

        def test_one(record_property):
            note_attempt(record_property, "order", "staff without a", {CALL!r}, "403")
            note_attempt(record_property, "order", "staff without b", {CALL!r}, "403")

        def test_two(record_property):
            note_attempt(record_property, "order", "token of payment", {CALL!r}, "200")
            assert False
    """)
    path = pytester.path / "report.xml"
    pytester.runpytest_inprocess("-p", "no:django", f"--junit-xml={path}")
    return path


def show(table: object) -> str:
    console = Console(width=200)
    with console.capture() as captured:
        console.print(table)
    return captured.get()


def test_attempts_of_all_tests_are_read_be_they_passed_or_not(report: Path) -> None:
    assert list(read_attempts(report)) == [
        Attempt("order", "staff without a", CALL, "403"),
        Attempt("order", "staff without b", CALL, "403"),
        Attempt("order", "token of payment", CALL, "200"),
    ]


def test_a_call_is_a_row_and_a_caller_a_column(report: Path) -> None:
    shown = show(permissions.tabulate("order", list(read_attempts(report))))
    (row,) = (line for line in shown.splitlines() if CALL in line)
    assert row.removeprefix(f" {CALL}").split() == ["403", "200"]
    assert "staff, one less" in shown
    assert "by payment" in shown


def test_a_forgery_is_a_row(report: Path) -> None:
    shown = show(forgery.tabulate("order", list(read_attempts(report))))
    assert shown.count(CALL) == 3
    assert "with the credentials of" in shown


def test_a_run_that_could_not_begin_fails(tmp_path: Path) -> None:
    assert permissions.read_report(tmp_path / "none.xml") == []
