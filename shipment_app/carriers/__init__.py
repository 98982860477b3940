"""The ways to a carrier: one protocol, the sandbox behind it."""

from __future__ import annotations

from typing import Any

from celery_config.common import loading
from celery_config.http.client import CALL_SECONDS
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
    """The carrier that CARRIER names; make one a process, it keeps its connections.

    Args:
        settings: anything with CARRIER and, for `sandbox`, SANDBOX_URL; for webhooks also SHIPMENT_WEBHOOK_SECRET.
            A carrier of your own is named by its dotted path, and called with `settings` and `seconds`.
        seconds: limit of one call in total.

    Raises:
        ValueError: a setting is missing or has no meaning.
    """
    if "." in settings.CARRIER:
        return loading.load_from_setting("CARRIER", settings, seconds=seconds)  # type: ignore[no-any-return]
    if settings.CARRIER != "sandbox":
        raise ValueError(f"CARRIER is {settings.CARRIER!r}; set it to sandbox or the dotted path of your own")
    url = str(getattr(settings, "SANDBOX_URL", "") or "")
    if not url:
        raise ValueError("the carrier needs SANDBOX_URL; set it in the environment")
    secret = getattr(settings, "SHIPMENT_WEBHOOK_SECRET", "")
    return SandboxCarrier(url, seconds=seconds, webhook_secret=secret)
