"""System checks of payment: `check`, `migrate` and the relay run them before they start."""

from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage, Error, register

from payment_app.gateways import gateway


@register
def check_gateway(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Check that PAYMENT_GATEWAY names a gateway, and that its settings are there."""
    try:
        gateway()
    except ValueError as error:
        return [Error(str(error), id="payment.E001")]
    return []
