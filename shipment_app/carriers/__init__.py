"""The ways to a carrier: one protocol, the sandbox behind it."""

from __future__ import annotations

from typing import Any

from celery_config.http_client import CALL_SECONDS
from shipment_app.carriers.base import Booked, BookEntry, Carrier, CarrierEvent
from shipment_app.carriers.errors import CarrierError, CarrierFailed, CarrierRefused, CarrierUnknown
from shipment_app.carriers.sandbox import SandboxCarrier

__all__ = [
    "BookEntry",
    "Booked",
    "Carrier",
    "CarrierError",
    "CarrierEvent",
    "CarrierFailed",
    "CarrierRefused",
    "CarrierUnknown",
    "SandboxCarrier",
    "carrier_from_settings",
]


def carrier_from_settings(settings: Any, *, seconds: float = CALL_SECONDS) -> Carrier:
    """The sandbox carrier at SANDBOX_URL; make one a process, it keeps its connections.

    Args:
        settings: anything with SANDBOX_URL; for webhooks also SHIPMENT_WEBHOOK_SECRET.
        seconds: limit of one call in total.

    Raises:
        ValueError: SANDBOX_URL is missing.
    """
    url = str(getattr(settings, "SANDBOX_URL", "") or "")
    if not url:
        raise ValueError("the carrier needs SANDBOX_URL; set it in the environment")
    secret = getattr(settings, "SHIPMENT_WEBHOOK_SECRET", "")
    return SandboxCarrier(url, seconds=seconds, webhook_secret=secret)
