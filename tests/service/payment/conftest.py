"""The payment service against a real sandbox provider."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from celery_config.times import Times
from payment_app import provider
from tests.service.payment.shop import Shop
from tests.unit.sandbox_process import SandboxProcess

# One call then takes at most 1.5 s: less than the sandbox's time-out token waits, more than its slow one.
TIME_SCALE = 0.075


@pytest.fixture
def shop(transactional_db: None, sandbox: SandboxProcess, settings: Any) -> Iterator[Shop]:
    """One order with the provider behind it; transactions are real, so that threads see each other."""
    settings.SANDBOX_URL = sandbox.url
    settings.TIMES = Times(scale=TIME_SCALE)
    provider.gateway.cache_clear()
    yield Shop(sandbox)
    provider.gateway().close()
    provider.gateway.cache_clear()
