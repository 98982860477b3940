"""What is logged of an error: its stack, and no local variable, which may hold a token or an address."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import structlog
from celery_config.common.logging import configure_logging
configure_logging("order", {form!r}, "INFO")
def charge(card):
    token = "pm_" + card
    raise ValueError("refused")
try:
    charge("".join(reversed("4321")))
except ValueError:
    structlog.get_logger("celery_config").exception("it failed")
"""


@pytest.mark.parametrize("form", ["console", "json"])
def test_no_local_variable_is_logged(form: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(form=form)], capture_output=True, text=True, check=True
    )
    assert "it failed" in done.stderr
    assert "ValueError" in done.stderr
    assert "1234" not in done.stderr
