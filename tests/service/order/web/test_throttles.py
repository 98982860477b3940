"""Throttles: each process allows its share, a user or an address at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from rest_framework.throttling import SimpleRateThrottle

from tests.service.order.test_api import client_of

pytestmark = pytest.mark.django_db
PAUSES = "/api/sagas/pauses/"


@pytest.fixture(autouse=True)
def _few_verbs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    cache.clear()
    monkeypatch.setitem(SimpleRateThrottle.THROTTLE_RATES, "verbs", "4/minute")
    yield
    cache.clear()


def test_a_user_may_use_so_many_verbs_a_minute() -> None:
    ada, bob = (client_of(User.objects.create_superuser(name)) for name in ("ada", "bob"))
    assert [ada.get(PAUSES).status_code for _ in range(5)] == [200] * 4 + [429]
    assert bob.get(PAUSES).status_code == 200
    # What is no verb has no such limit.
    assert ada.get("/api/sagas/").status_code == 200


def test_each_process_allows_its_share(settings: Any) -> None:
    settings.WEB_PROCESSES = 2
    ada = client_of(User.objects.create_superuser("ada"))
    assert [ada.get(PAUSES).status_code for _ in range(3)] == [200, 200, 429]
