"""The copy of customers' addresses, and events of another release than this one."""

from __future__ import annotations

from importlib import import_module
from typing import Any
from uuid import UUID

import pytest

from celery_config.contracts.base import decode
from celery_config.contracts.order import CustomerChanged
from celery_config.messaging.inbox.subscriptions import deliver
from celery_config.messaging.outbox import writing
from shipment_app.models import DeliveryAddress
from tests.service.shipment.parcels import ADDRESS

pytestmark = pytest.mark.usefixtures("transactional_db")
import_module("shipment_app.tasks")  # it subscribes
CUSTOMER = UUID(int=7)
COMMON = {"customer": str(CUSTOMER), "name": "Ada", "email": "", "currency": "GBP", "billing_address": None}


@pytest.mark.parametrize("parts", [{}, {"line2": "Flat 3"}, {"line2": "Flat 3", "region": "Yorkshire"}])
def test_the_copy_has_the_parts_that_the_source_has(parts: dict[str, Any]) -> None:
    """Rule 24 (versions): a source of the release before sends fewer parts, and `sync` finds no difference."""
    data = {**COMMON, "delivery_address": {**ADDRESS, **parts}, "version": 1}
    event = writing.cloud_event(decode(CustomerChanged, data), subject=str(CUSTOMER))
    deliver([{**event, "data": data}])
    assert DeliveryAddress.objects.get().delivery_address == {**ADDRESS, **parts}
