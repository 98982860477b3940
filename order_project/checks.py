"""System checks of the order service: `check`, `migrate` and the relay run them before they start."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from celery_config.saga.dsl import Saga


@register
def flow_of_new_orders(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Check that the flow's version in the settings is defined."""
    versions = sorted(version for name, version in Saga.registry if name == "place-order")
    if settings.PLACE_ORDER_VERSION in versions:
        return []
    return [
        Error(
            f"PLACE_ORDER_VERSION is {settings.PLACE_ORDER_VERSION}, and place-order has no such version.",
            hint=f"Set it to one of {', '.join(map(str, versions))}.",
            id="order.E001",
        )
    ]


@register
def proof_of_orders(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Warn that ended orders are not proved; a word that is neither true nor false counts as false."""
    if settings.PROVE_ORDERS:
        return []
    return [
        Warning(
            "PROVE_ORDERS is false: ended orders are not compared with what the services say.",
            hint="Set it to true, or leave it out.",
            id="order.W001",
        )
    ]
