"""Django system checks of who may call; `migrate` and the relay run them before they start."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Warning, register

from celery_config.common.service_calls import name_shared_token
from celery_config.http.service_tokens import TokenMode


@register
def check_service_authentication(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Warn while the shared token of older versions opens everything that any service may do here."""
    mode = settings.SERVICE_TOKENS.mode
    if mode is TokenMode.REQUIRE:
        return []
    name = name_shared_token(settings.SERVICE)
    return [
        Warning(
            f"SERVICE_AUTHENTICATION is {mode}: a process with {name} may make every call of every service.",
            hint="When each process has the tokens of its pairs, set `accept`, then `require`.",
            id="web.W001",
        )
    ]
