"""The dashboards of compose/monitoring: current, and of metrics that exist."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from compose.monitoring.dashboards import (
    BOARDS,
    DASHBOARDS,
    RECORDED,
    build_board,
    list_queries,
    read_sums,
)

METRICS = Path(__file__).resolve().parents[3] / "docs" / "reference" / "metrics.md"
PROCESS = {"process_cpu_seconds_total", "process_resident_memory_bytes"}
"""Of every process, by Prometheus's own library."""


@pytest.mark.parametrize("name", BOARDS)
def test_its_file_is_current(name: str) -> None:
    assert (DASHBOARDS / f"{name}.json").read_text() == build_board(name)


def test_no_other_file_is_there() -> None:
    assert {path.stem for path in DASHBOARDS.glob("*.json")} == {*BOARDS}


def test_panels_show_what_is_recorded_and_all_of_it() -> None:
    shown = {name for query in list_queries() for name in RECORDED.findall(query)}
    assert shown == read_sums().keys()


def test_nothing_is_added_up_twice_in_two_ways() -> None:
    raw = [query for query in list_queries() if re.search(r"(?<!:)order_saga_\w+(?!\w*:)", query)]
    assert raw == []


def test_what_is_recorded_exists() -> None:
    known = {*re.findall(r"^\| `(order_saga_\w+)`", METRICS.read_text(), re.MULTILINE), *PROCESS}
    for expression in read_sums().values():
        (name,) = re.findall(r"\b(?:order_saga|process)_\w+(?=\W)", expression.partition(" (")[2])
        assert re.sub(r"_(bucket|count)$", "", name) in known, expression


@pytest.mark.parametrize("name", BOARDS)
def test_each_panel_has_a_place_of_its_own(name: str) -> None:
    places = [
        (each["gridPos"]["x"], each["gridPos"]["y"]) for each in json.loads(build_board(name))["panels"]
    ]
    assert len(places) == len({*places})
