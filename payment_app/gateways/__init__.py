"""Gateways to payment providers: one protocol, with the sandbox and Stripe behind it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from django.conf import settings

from celery_config.common.loading import make_from_setting
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
]
BUILT_IN: dict[str, Callable[..., Gateway]] = {
    "sandbox": SandboxGateway.from_settings,
    "stripe": StripeGateway.from_settings,
}


@functools.cache
def gateway() -> Gateway:
    """The gateway that PAYMENT_GATEWAY names: `sandbox`, `stripe`, or the dotted path of your own.

    It keeps its connections, and all threads of this process share it.

    Raises:
        ValueError: a setting is missing or has no meaning, or the gateway has no table of currencies.
    """
    return make_gateway(settings, seconds=settings.TIMES.call)


def make_gateway(settings: Any, *, seconds: float) -> Gateway:
    made: Gateway = make_from_setting("PAYMENT_GATEWAY", settings, BUILT_IN, seconds=seconds)
    if not getattr(made, "currencies", None):
        raise ValueError(
            f"PAYMENT_GATEWAY: {type(made).__name__} has no currencies; say what its provider takes, see"
            " docs/how-to/add-a-provider.md"
        )
    return made
