"""What `./manage.py shipment check` finds."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.checks import run_checks

from shipment_app.carriers import carrier


@pytest.mark.parametrize(("name", "faults"), [("sandbox", 0), ("no-such", 1), ("no.such.Adapter", 1)])
def test_the_carrier_is_known_before_the_first_order(settings: Any, name: str, faults: int) -> None:
    settings.CARRIER = name
    carrier.cache_clear()
    try:
        found = [fault for fault in run_checks() if fault.id == "shipment.E001"]
    finally:
        carrier.cache_clear()
    assert len(found) == faults
    assert all("CARRIER is" in fault.msg for fault in found)
