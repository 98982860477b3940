"""What the orchestrator and a participant ask each other follows from the table of services."""

from __future__ import annotations

import pytest

from celery_config.common import service_calls
from celery_config.common.service_calls import CALLS, OPERATOR, list_calls
from celery_config.common.services import ORCHESTRATOR


def test_a_new_participant_is_driven_audited_and_told_without_a_line_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(service_calls, "PARTICIPANTS", ("hotel",))
    calls = list_calls("hotel")
    assert calls.keys() == {ORCHESTRATOR, OPERATOR}
    assert {"POST commands", "GET barrier", "POST facts"} <= calls[ORCHESTRATOR]
    assert "POST facts" in calls[OPERATOR]
    assert {"POST sagas-ended", "GET holds-known"} <= list_calls(ORCHESTRATOR)["hotel"]


def test_participants_do_not_command_each_other() -> None:
    assert CALLS["payment"]["inventory"] == {
        "GET published", "POST published-pieces", "POST published-rows", "GET published-changes"
    }  # fmt: skip
    assert "shipment" not in CALLS["payment"]
