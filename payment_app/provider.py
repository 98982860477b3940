"""The provider as the steps see it: one gateway a process."""

from __future__ import annotations

import functools

from django.conf import settings

from payment_app import gateways
from payment_app.gateways import Gateway


@functools.cache
def gateway() -> Gateway:
    """The gateway that the settings name; it keeps its connections and is shared by all threads."""
    return gateways.gateway_from_settings(settings, seconds=settings.TIMES.call)
