"""What services ask each other follows from their roles and from the copies they keep."""

from __future__ import annotations

import pytest

from celery_config.common import service_calls
from celery_config.common.declarations import Service
from celery_config.common.service_calls import CALLS, OPERATOR, find_calls
from celery_config.common.services import ORCHESTRATOR, SERVICES


@pytest.fixture
def _hotel(monkeypatch: pytest.MonkeyPatch) -> None:
    hotel = Service(name="hotel", package="hotel_app", port=8005, keeps_copies_of=("payment",))
    monkeypatch.setattr(service_calls, "SERVICES", {**SERVICES, "hotel": hotel})


@pytest.mark.usefixtures("_hotel")
def test_a_new_participant_is_driven_audited_and_told_without_a_line_of_its_own() -> None:
    assert {"POST commands", "GET barrier"} <= find_calls("hotel", ORCHESTRATOR)
    assert "GET copy-differences" in find_calls("hotel", OPERATOR)
    assert {"GET sagas-known", "GET holds-known"} <= find_calls(ORCHESTRATOR, "hotel")


@pytest.mark.usefixtures("_hotel")
def test_who_keeps_a_copy_compares_it() -> None:
    compare = {"GET published", "POST published-pieces", "POST published-rows", "GET published-changes"}
    assert find_calls("payment", "hotel") == CALLS["payment"]["inventory"] == compare
    assert not find_calls("hotel", "payment"), "payment's rows need no copy to come back"
    assert "shipment" not in CALLS["payment"], "participants do not command each other"
