"""What each service waits for is read from the code, and so are the files that a reordering changes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from docs import flows, reordering

ROOT = Path(__file__).resolve().parents[3]


def run_flows(*arguments: str) -> str:
    """What the command prints; a process of its own, since one process has one settings module."""
    command = [sys.executable, "manage.py", "flows", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_the_page_is_what_the_code_says() -> None:
    """After a change: `./manage.py flows --write`."""
    shown = flows.PAGE.read_text(encoding="utf-8")
    page = "from docs import flows; print(flows.page(), end='')"
    done = subprocess.run([sys.executable, "-c", page], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == shown


def test_each_waits_for_the_one_before() -> None:
    lines = [line.split() for line in run_flows().splitlines()]
    waits = {(words[0], words[3]) for words in lines if words[1:3] == ["waits", "for"]}
    assert {
        ("payment", "OrderPlaced"),
        ("inventory", "PaymentReceived"),
        ("payment", "AuthorizePayment"),
    } <= waits


def test_one_file_changes_in_one_flow_and_many_in_the_other() -> None:
    orchestrated, _, choreographed = run_flows("--reorder", "AuthorizePayment", "ReserveStock").partition(
        "choreographed"
    )
    assert orchestrated.split()[1:] == ["1", "file", "order_project/sagas/place_order.py"]
    assert {f"{service}_app/subscriptions.py" for service in ("payment", "inventory", "shipment")} <= set(
        choreographed.split()
    )


def test_only_neighbours_change_places() -> None:
    with pytest.raises(ValueError, match="do not follow each other"):
        reordering.find_changed_files("ReserveStock", "CapturePayment")
