"""Django system checks of the web: who may call, and its static files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from celery_config.common.service_calls import name_shared_token
from celery_config.http.service_tokens import TokenMode

STATIC_FILES = "static files"
"""The tag of what a web checks before it serves; `migrate` and the relay check everything."""


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


@register(STATIC_FILES)
def check_static_files(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Refuse a folder of static files that `collectstatic` has not filled: each page would fail."""
    folder = settings.STATIC_ROOT
    if not folder or (Path(folder) / "staticfiles.json").exists():
        return []
    return [
        Error(
            f"STATIC_FOLDER names {folder}, where no collected files are.",
            hint=f"Run `./manage.py {settings.SERVICE} collectstatic`, or do not set STATIC_FOLDER.",
            id="web.E001",
        )
    ]
