"""What `./manage.py payment check` finds."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.checks import run_checks

from celery_config.common.process import START_CHECKS
from payment_app.gateways import gateway


@pytest.mark.parametrize(("name", "faults"), [("sandbox", 0), ("no-such", 1), ("no.such.Adapter", 1)])
def test_the_gateway_is_known_before_the_first_order(settings: Any, name: str, faults: int) -> None:
    settings.PAYMENT_GATEWAY = name
    gateway.cache_clear()
    try:
        found = [fault for fault in run_checks() if fault.id == "payment.E001"]
    finally:
        gateway.cache_clear()
    assert len(found) == faults
    assert all("PAYMENT_GATEWAY is" in fault.msg for fault in found)


def test_payment_is_whole() -> None:
    assert run_checks(tags=START_CHECKS) == []
