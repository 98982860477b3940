"""The short form of a suite draws files by the commit, as many as its share of the time allows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests import drawing, durations
from tests.drawing import draw_files, find_seed, list_files, read_durations

FILES = [f"tests/test_{n}.py" for n in range(40)]
SECONDS = dict.fromkeys(FILES, 10.0)


def test_the_files_fit_into_the_time_and_keep_their_order() -> None:
    drawn = draw_files(FILES, SECONDS, 105.0, "one")
    assert len(drawn) == 10
    assert drawn == sorted(drawn, key=FILES.index) == draw_files(FILES, SECONDS, 105.0, "one")


def test_each_file_is_drawn_by_some_seed() -> None:
    drawn = {file for seed in range(60) for file in draw_files(FILES, SECONDS, 105.0, str(seed))}
    assert drawn == {*FILES}


def test_a_long_file_leaves_its_place_to_those_that_fit() -> None:
    lengths = {**SECONDS, FILES[0]: 1000.0}
    assert len(draw_files(FILES, lengths, 400.0, "one")) == 39


def test_what_is_new_or_never_left_out_is_tried() -> None:
    known = dict.fromkeys(FILES[1:], 10.0)
    assert draw_files(FILES, known, 0.0, "one", always=[FILES[7]]) == [FILES[0], FILES[7]]


def test_the_environment_names_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(drawing.SEED, raising=False)
    assert find_seed()
    monkeypatch.setenv(drawing.SEED, "another")
    assert find_seed() == "another"


def test_every_file_that_is_known_exists() -> None:
    assert {*read_durations()} <= {*list_files("tests/acceptance", "tests/service")}


def test_the_reports_of_a_run_are_summed_up_by_file(tmp_path: Path) -> None:
    report = tmp_path / "unit.xml"
    case = '<testcase classname="{}" name="test" time="{}"/>'
    cases = [
        case.format("tests.unit.test_drawing", 1.25), case.format("tests.unit.test_drawing.TestIt", 2),
        case.format("no.such.file", 4),
    ]  # fmt: skip
    report.write_text(f"<testsuites><testsuite>{''.join(cases)}</testsuite></testsuites>")
    assert durations.sum_up([report]) == {"tests/unit/test_drawing.py": 3.2}
    assert json.loads(drawing.DURATIONS.read_text()) == read_durations()
