"""The pytest fixture `schedules`; a test module asks for it with

pytest_plugins = ["celery_config.saga.testing.plugin"]
"""

from __future__ import annotations

import pytest

from celery_config.saga.testing import Schedules


@pytest.fixture
def schedules() -> Schedules:
    """Schedules of the real engine."""
    return Schedules()
