"""The copy of customers' addresses, and events of another release than this one."""

from __future__ import annotations

from importlib import import_module
from typing import Any
from uuid import UUID

import pytest

from celery_config.contracts.base import decode
from celery_config.contracts.order import CustomerChanged
from celery_config.copies import api
from celery_config.copies.readers import CopyReader, stream_rows
from celery_config.copies.registry import copies
from celery_config.messaging.inbox.subscriptions import deliver
from celery_config.messaging.outbox import writing
from shipment_app.models import DeliveryAddress
from tests.service.copies_source import SourceInMemory
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


def test_the_audit_asks_what_differs_from_the_source(peer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A customer whose event somebody forged: the source has another address."""
    changed = decode(CustomerChanged, {**COMMON, "delivery_address": ADDRESS, "version": 1})
    deliver([writing.cloud_event(changed, subject=str(CUSTOMER))])
    (name,) = copies
    source = SourceInMemory(copies[name])
    for row in stream_rows(CopyReader(source.copy), None, None):
        source.memory.rows[row.key] = row
    monkeypatch.setattr(api, "open_source", lambda copy: source)
    equal = {"name": name, "rows": 1, "differing": 0, "keys": []}
    assert peer.get("/api/copies/differences/").json() == [equal]
    DeliveryAddress.objects.update(delivery_address={**ADDRESS, "line1": "9 Other Road"})
    differing = {**equal, "differing": 1, "keys": [str(CUSTOMER)]}
    assert peer.get("/api/copies/differences/").json() == [differing]


def test_a_source_that_is_away(peer: Any, settings: Any) -> None:
    settings.SERVICE_URLS = {**settings.SERVICE_URLS, "order": "http://127.0.0.1:1"}
    answer = peer.get("/api/copies/differences/")
    assert (answer.status_code, answer.json()["code"]) == (503, "source_away")
