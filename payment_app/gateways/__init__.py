"""The ways to a payment provider: one protocol, the sandbox and Stripe behind it."""

from __future__ import annotations

from typing import Any

from celery_config.common import loading
from celery_config.http.client import CALL_SECONDS
from payment_app.gateways.base import Authorized, BookEntry, Gateway, ProviderEvent, Refunded
from payment_app.gateways.errors import CallFailed, Declined, GatewayError, OutcomeUnknown
from payment_app.gateways.sandbox import SandboxGateway
from payment_app.gateways.stripe import StripeGateway

__all__ = [
    "Authorized",
    "BookEntry",
    "CallFailed",
    "Declined",
    "Gateway",
    "GatewayError",
    "OutcomeUnknown",
    "ProviderEvent",
    "Refunded",
    "SandboxGateway",
    "StripeGateway",
    "gateway_from_settings",
]


def gateway_from_settings(settings: Any, *, seconds: float = CALL_SECONDS) -> Gateway:
    """The gateway that PAYMENT_GATEWAY names; make one a process, it keeps its connections.

    Args:
        settings: anything with PAYMENT_GATEWAY and, for `sandbox`, SANDBOX_URL; for `stripe`, STRIPE_API_KEY
            and perhaps STRIPE_API_BASE. For webhooks also PAYMENT_WEBHOOK_SECRET or STRIPE_WEBHOOK_SECRET.
            A gateway of your own is named by its dotted path, and called with `settings` and `seconds`.
        seconds: limit of one call in total.

    Raises:
        ValueError: a setting is missing or has no meaning.
    """
    match settings.PAYMENT_GATEWAY:
        case "sandbox":
            secret = getattr(settings, "PAYMENT_WEBHOOK_SECRET", "")
            return SandboxGateway(_required(settings, "SANDBOX_URL"), seconds=seconds, webhook_secret=secret)
        case "stripe":
            base = getattr(settings, "STRIPE_API_BASE", "") or None
            secret = getattr(settings, "STRIPE_WEBHOOK_SECRET", "")
            return StripeGateway(
                _required(settings, "STRIPE_API_KEY"), api_base=base, seconds=seconds, webhook_secret=secret
            )
        case str(path) if "." in path:
            return loading.load_from_setting("PAYMENT_GATEWAY", settings, seconds=seconds)  # type: ignore[no-any-return]
        case other:
            raise ValueError(
                f"PAYMENT_GATEWAY is {other!r}; set it to sandbox, stripe or the dotted path of your own"
            )


def _required(settings: Any, name: str) -> str:
    value = str(getattr(settings, name, "") or "")
    if not value:
        raise ValueError(
            f"PAYMENT_GATEWAY={settings.PAYMENT_GATEWAY} needs {name}; set it in the environment"
        )
    return value
