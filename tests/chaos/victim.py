"""The system that crash matrix and chaos are tried on: a private one, in a hurry, with its failpoints on."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from celery_config import failpoints
from celery_config.topology import SERVICES
from compose.local.stack import Stack

# A watchdog's silence of 3.6 s, a deadline of 27 s.
TIME_SCALE = "0.03"
HEARTBEAT = 2
# RabbitMQ closes a connection that was silent for two heartbeats.
STANDS_SECONDS = 3 * HEARTBEAT + 1.0


def make_stack(var: Path, settings: Mapping[str, str] | None = None) -> Stack:
    """Return it, not yet started; servers that the environment names are not ours to kill."""
    servers = tuple(f"{s.upper()}_{kind}_URL" for s in SERVICES for kind in ("DATABASE", "BROKER"))
    return Stack(
        "servers",
        var=var,
        settings={
            "SAGA_TIME_SCALE": TIME_SCALE,
            "BROKER_HEARTBEAT": str(HEARTBEAT),
            "LOG_FORMAT": "json",
            failpoints.VARIABLE: str(failpoints_of(var)),
            **(settings or {}),
        },
        environ={name: value for name, value in os.environ.items() if name not in servers},
    )


def failpoints_of(var: Path) -> Path:
    return var / "failpoints"
