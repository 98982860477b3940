"""Gateways to payment providers: one protocol, with the sandbox and Stripe behind it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from django.conf import settings as django_settings

from celery_config.common.loading import make_from_setting
from celery_config.http.client import CALL_SECONDS
from payment_app.gateways.base import AuthorizationRecord, Authorized, Gateway, ProviderEvent, Refunded
from payment_app.gateways.sandbox import SandboxGateway
from payment_app.gateways.stripe import StripeGateway

__all__ = [
    "AuthorizationRecord",
    "Authorized",
    "Gateway",
    "ProviderEvent",
    "Refunded",
    "SandboxGateway",
    "StripeGateway",
    "gateway",
    "gateway_from_settings",
]
BUILT_IN: dict[str, Callable[..., Gateway]] = {
    "sandbox": SandboxGateway.from_settings,
    "stripe": StripeGateway.from_settings,
}


@functools.cache
def gateway() -> Gateway:
    """The gateway of this process: it keeps its connections, and all threads share it."""
    return gateway_from_settings(django_settings, seconds=django_settings.TIMES.call)


def gateway_from_settings(settings: Any, *, seconds: float = CALL_SECONDS) -> Gateway:
    """Make the gateway that PAYMENT_GATEWAY names: `sandbox`, `stripe`, or the dotted path of your own.

    Args:
        settings: with PAYMENT_GATEWAY and the settings of that gateway.
        seconds: limit of one call in total.

    Raises:
        ValueError: a setting is missing or has no meaning.
    """
    return make_from_setting("PAYMENT_GATEWAY", settings, BUILT_IN, seconds=seconds)
