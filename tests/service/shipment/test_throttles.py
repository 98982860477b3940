"""Throttles: the order service may ask as often as it needs."""

from __future__ import annotations

import pytest
from django.core.cache import cache
from rest_framework.test import APIClient
from rest_framework.throttling import SimpleRateThrottle

from celery_config.common.services import ORCHESTRATOR
from tests.service.peer import bearer


@pytest.mark.django_db
def test_services_have_no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    cache.clear()
    monkeypatch.setitem(SimpleRateThrottle.THROTTLE_RATES, "verbs", "4/minute")
    service = APIClient()
    service.credentials(HTTP_AUTHORIZATION=bearer(ORCHESTRATOR))
    asked = [service.post("/api/barrier/settle/", {}, format="json").status_code for _ in range(6)]
    assert asked == [400] * 6
