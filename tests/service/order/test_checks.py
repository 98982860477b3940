"""What `./manage.py order check` finds."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.checks import run_checks

from celery_config.common.process import START_CHECKS


@pytest.mark.parametrize("version", [1, 2])
def test_a_known_version_of_the_flow_is_fine(settings: Any, version: int) -> None:
    settings.PLACE_ORDER_VERSION = version
    assert [fault for fault in run_checks() if fault.id == "order.E001"] == []


def test_an_unknown_version_of_the_flow_is_found_before_the_first_order(settings: Any) -> None:
    settings.PLACE_ORDER_VERSION = 9
    (fault,) = [fault for fault in run_checks() if fault.id == "order.E001"]
    assert "PLACE_ORDER_VERSION is 9" in fault.msg
    assert fault.hint == "Set it to one of 1, 2, 3."


def test_the_proof_that_is_switched_off_is_named(settings: Any) -> None:
    assert [fault for fault in run_checks() if fault.id == "order.W001"] == []
    settings.PROVE_ORDERS = False
    (fault,) = [fault for fault in run_checks() if fault.id == "order.W001"]
    assert "ended orders are not compared" in fault.msg


def test_the_order_service_is_whole() -> None:
    assert run_checks(tags=START_CHECKS) == []
