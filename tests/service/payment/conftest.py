"""The payment service against a real sandbox provider."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from celery_config.common.timeouts import Timeouts
from payment_app.gateways import gateway
from tests.service.conftest import Participant
from tests.service.payment.shop import Shop
from tests.unit.compose.sandbox.sandbox_process import SandboxProcess

# One call then takes at most 1.5 s: less than the sandbox's time-out token waits, more than its slow one.
TIME_SCALE = 0.075


@pytest.fixture
def shop(db: None, participant: Participant, sandbox: SandboxProcess, settings: Any) -> Iterator[Shop]:
    """One order with the provider behind it."""
    settings.SANDBOX_URL = sandbox.url
    settings.TIMES = Timeouts(scale=TIME_SCALE)
    gateway.cache_clear()
    yield Shop(participant, sandbox)
    sandbox.clear_faults()
    gateway.cache_clear()


@pytest.fixture
def empty_books(tmp_path: Path) -> Iterator[SandboxProcess]:
    """A provider of one's own, whose books hold nothing yet."""
    process = SandboxProcess(tmp_path / "sandbox.sqlite3").start()
    yield process
    process.stop()
