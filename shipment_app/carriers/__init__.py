"""Carriers: one protocol, with the sandbox behind it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from django.conf import settings as django_settings

from celery_config.common.loading import make_from_setting
from celery_config.http.client import CALL_SECONDS
from shipment_app.carriers.base import Booked, Carrier, CarrierEvent, ShipmentRecord
from shipment_app.carriers.sandbox import SandboxCarrier

__all__ = [
    "Booked",
    "Carrier",
    "CarrierEvent",
    "SandboxCarrier",
    "ShipmentRecord",
    "carrier",
    "carrier_from_settings",
]
BUILT_IN: dict[str, Callable[..., Carrier]] = {"sandbox": SandboxCarrier.from_settings}


@functools.cache
def carrier() -> Carrier:
    """The carrier of this process: it keeps its connections, and all threads share it."""
    return carrier_from_settings(django_settings, seconds=django_settings.TIMES.call)


def carrier_from_settings(settings: Any, *, seconds: float = CALL_SECONDS) -> Carrier:
    """Make the carrier that CARRIER names: `sandbox`, or the dotted path of your own.

    Args:
        settings: with CARRIER and the settings of that carrier.
        seconds: limit of one call in total.

    Raises:
        ValueError: a setting is missing or has no meaning.
    """
    return make_from_setting("CARRIER", settings, BUILT_IN, seconds=seconds)
