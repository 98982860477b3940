"""Settings of the API and the admin pages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static

from celery_config.settings.environment import env

ICON = "celery_config.web.site.icon_url"
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "celery_config.web.authentication.ServiceAuthentication",
        "celery_config.web.authentication.UserTokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["celery_config.web.permissions.CallPermission"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["celery_config.web.parsers.NestingSafeJsonParser"],
    "DEFAULT_FILTER_BACKENDS": ["celery_config.web.filters.StrictFilterBackend"],
    "DEFAULT_PAGINATION_CLASS": "celery_config.web.pagination.CursorPages",
    "DEFAULT_METADATA_CLASS": "celery_config.web.metadata.NoMetadata",
    "DEFAULT_SCHEMA_CLASS": "celery_config.web.schema.ServiceSchema",
    "EXCEPTION_HANDLER": "celery_config.web.problems.problem_details",
    "DEFAULT_THROTTLE_CLASSES": ["celery_config.web.throttling.SharedRateThrottle"],
    # Passwords are slow to check, and a verb asks every service.
    "DEFAULT_THROTTLE_RATES": {
        "token": env.str("TOKEN_RATE", "10/minute"),
        "verbs": env.str("VERB_RATE", "120/minute"),
    },
}


def static_url(name: str) -> Callable[[HttpRequest], str]:
    """The address of a static file of ours, which is known only when Django has its settings."""
    return lambda _: static(f"order_saga/{name}")


def api_settings(service: str, *, tls: bool) -> dict[str, Any]:
    """DRF, its pages, and the admin.

    Args:
        tls: whether a proxy in front ends TLS, and nothing else is served.
    """
    return {
        # Without a number DRF trusts any address that a client claims to have. TLS ends at a proxy.
        "REST_FRAMEWORK": {**REST_FRAMEWORK, "NUM_PROXIES": 1 if tls else 0},
        # The table of the tokens; it also has their name and last use.
        "KNOX_TOKEN_MODEL": "api.UserToken",
        # Knox has no table of its own then.
        "MIGRATION_MODULES": {"knox": None},
        "TOKEN_DAYS": env.float("TOKEN_DAYS", 90.0),
        "SPECTACULAR_SETTINGS": {
            "TITLE": f"Order Saga: {service}",
            "VERSION": "1",
            "SERVE_INCLUDE_SCHEMA": False,
            "SWAGGER_UI_DIST": "SIDECAR",
            "SWAGGER_UI_FAVICON_HREF": "/favicon.ico",
            "COMPONENT_SPLIT_REQUEST": True,
            "OAS_VERSION": "3.1.0",
            # Words stand where they are used: many fields are called `status`.
            "POSTPROCESSING_HOOKS": ["celery_config.web.schema.drop_marks"],
            "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
        },
        # People open four admins at the same time: title, icon and header name the service.
        "UNFOLD": {
            "SITE_TITLE": f"{service.capitalize()} · Order Saga",
            "SITE_HEADER": service.capitalize(),
            "SITE_SUBHEADER": "Order Saga · times in UTC",
            "SITE_ICON": ICON,
            "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": ICON}],
            "COMMAND": {"search_callback": "celery_config.web.jump.search"},
            "ENVIRONMENT": "celery_config.web.site.environment_badge",
            "SIDEBAR": {"navigation": "celery_config.web.navigation.list_groups"},
            "STYLES": [*map(static_url, ("theme.css", "services.css", "admin.css", "board.css"))],
            "SCRIPTS": [*map(static_url, ("htmx.js", "live.js", "icons.js", "copy.js"))],
        },
    }
