"""System checks of shipment: `check`, `migrate` and the relay run them before they start."""

from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage, Error, register

from shipment_app.carriers import carrier


@register
def check_carrier(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Check that CARRIER names a carrier, and that its settings are there."""
    try:
        carrier()
    except ValueError as error:
        return [Error(str(error), id="shipment.E001")]
    return []
