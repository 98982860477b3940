"""Carriers: one protocol, with the sandbox behind it."""

from __future__ import annotations

import functools
from collections.abc import Callable

from django.conf import settings

from celery_config.common.loading import make_from_setting
from shipment_app.carriers.base import Booked, Carrier, CarrierEvent, ShipmentRecord
from shipment_app.carriers.sandbox import SandboxCarrier

__all__ = [
    "Booked",
    "Carrier",
    "CarrierEvent",
    "SandboxCarrier",
    "ShipmentRecord",
    "carrier",
]
BUILT_IN: dict[str, Callable[..., Carrier]] = {"sandbox": SandboxCarrier.from_settings}


@functools.cache
def carrier() -> Carrier:
    """The carrier that CARRIER names: `sandbox`, or the dotted path of your own.

    It keeps its connections, and all threads of this process share it.

    Raises:
        ValueError: a setting is missing or has no meaning.
    """
    return make_from_setting("CARRIER", settings, BUILT_IN, seconds=settings.TIMES.call)
