"""Settings of notifications: the mail server, who is told without a click, and where webhooks may go."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ImproperlyConfigured

from celery_config.http.public_addresses import parse_networks
from celery_config.settings.environment import env

CONSOLE = "consolemail://"


def notification_settings() -> dict[str, Any]:
    """
    Raises:
        ImproperlyConfigured: NOTIFY_NETWORKS has a text that is no network.
    """
    networks = env.list("NOTIFY_NETWORKS", default=[])
    try:
        parse_networks(networks)
    except ValueError as error:
        raise ImproperlyConfigured(f"NOTIFY_NETWORKS: {error}.") from error
    production = env.str("ENVIRONMENT", "local") == "production"
    # On a developer's machine an e-mail without a mail server is shown in the log of the notifier.
    url = env.str("EMAIL_URL", "") or ("" if production else CONSOLE)
    return {
        **env.email_url_config(url or CONSOLE),
        "EMAIL_HOST_IS_SET": bool(url),
        "DEFAULT_FROM_EMAIL": env.str("NOTIFY_FROM", "order-saga@localhost"),
        "NOTIFY_EMAILS": env.list("NOTIFY_EMAILS", default=[]),
        "NOTIFY_NETWORKS": networks,
    }
