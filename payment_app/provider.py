"""The provider as the steps see it: one gateway a process, its answers in the words of the protocol."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings

from celery_config.errors import Refused, Unknown
from payment_app import gateways
from payment_app.gateways import Gateway


@functools.cache
def gateway() -> Gateway:
    """The gateway that the settings name; it keeps its connections and is shared by all threads."""
    return gateways.gateway_from_settings(settings, seconds=settings.TIMES.call)


@contextmanager
def answers() -> Iterator[None]:
    """Turn the gateway's Declined into Refused and its Unknown into the engine's.

    CallFailed stays: our side is wrong, which is no business outcome.
    """
    try:
        yield
    except gateways.Declined as declined:
        raise Refused(declined.code, declined.reason) from declined
    except gateways.Unknown as unknown:
        raise Unknown(unknown.reason) from unknown
