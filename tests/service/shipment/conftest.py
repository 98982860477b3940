"""The shipment service in front of a real sandbox carrier."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from celery_config.common.timeouts import Timeouts
from shipment_app.carriers import carrier
from tests.unit.compose.sandbox.sandbox_process import SandboxProcess

# One call then takes at most 2 s; the sandbox's `timeout` waits longer.
TIME_SCALE = 0.1


@pytest.fixture
def carrier_process(
    sandbox: SandboxProcess, settings: Any, transactional_db: None
) -> Iterator[SandboxProcess]:
    """The sandbox, with patience for a call of two seconds."""
    settings.SANDBOX_URL = sandbox.url
    settings.TIMES = Timeouts(scale=TIME_SCALE)
    carrier.cache_clear()
    yield sandbox
    sandbox.clear_faults()
    carrier.cache_clear()
