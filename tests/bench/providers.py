"""A payment gateway and a carrier in the process itself: they show what an order costs without calls over HTTP.

They answer at once and store nothing. An answer depends only on the key: the same request has the same answer. Each is
in a module of its own: one that imports two services has two Celery apps.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

IN_PROCESS = {
    "PAYMENT_GATEWAY": "tests.bench.instant_gateway.InstantGateway",
    "CARRIER": "tests.bench.instant_carrier.InstantCarrier",
}
"""The settings of the workers that use them."""


class Instant:
    """What both share: no connection, no books, no webhooks."""

    def __init__(self, settings: Any, *, seconds: float) -> None:
        pass

    def read_event(self, body: bytes, headers: Mapping[str, str]) -> None:
        return None
