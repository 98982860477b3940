"""Web settings: apps, middleware, templates, cookies and security headers."""

from __future__ import annotations

from typing import Any

from celery_config.settings.environment import env

THIRD_PARTY_APPS = [
    # Unfold's own configuration would replace our admin site by its own.
    "unfold.apps.BasicAppConfig",
    "unfold.contrib.filters",
    "celery_config.web.apps.ServiceAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "rest_framework.authtoken",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
]


def web_settings(service: str, package: str, apps: tuple[str, ...], *, tls: bool) -> dict[str, Any]:
    """Apps, middleware, templates, static files, cookies and headers.

    Args:
        package: the service's Python package, which is its one Django app.
        apps: further Django apps.
        tls: whether a proxy in front ends TLS, and nothing else is served.
    """
    return {
        "INSTALLED_APPS": [
            "celery_config.web.apps.ApiConfig",  # first: its templates go before unfold's
            *THIRD_PARTY_APPS,
            "celery_config.messaging",
            "celery_config.copies",
            "celery_config.erasure",
            *apps,
            package,
        ],
        "MIDDLEWARE": [
            "celery_config.web.middleware.RequestContextMiddleware",
            "celery_config.web.middleware.ApiSlashMiddleware",
            "django.middleware.security.SecurityMiddleware",
            "celery_config.web.middleware.HttpsMiddleware",
            "whitenoise.middleware.WhiteNoiseMiddleware",
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.common.CommonMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.messages.middleware.MessageMiddleware",
            "django.middleware.clickjacking.XFrameOptionsMiddleware",
            "celery_config.web.middleware.BodyLimitMiddleware",
            "celery_config.web.middleware.NoNulMiddleware",
            "celery_config.web.middleware.KeyPlacementMiddleware",
        ],
        "ROOT_URLCONF": f"{package}.config.urls",
        "DATA_MAP": f"{package}.erasure.DATA_MAP",
        "RECOVERY": f"{package}.recovery.make_plan",
        "WSGI_APPLICATION": f"{package}.config.wsgi.application",
        "TEMPLATES": [
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "APP_DIRS": True,
                "OPTIONS": {
                    "context_processors": [
                        "django.template.context_processors.request",
                        "django.contrib.auth.context_processors.auth",
                        "django.contrib.messages.context_processors.messages",
                    ]
                },
            }
        ],
        "AUTH_PASSWORD_VALIDATORS": [
            {"NAME": f"django.contrib.auth.password_validation.{name}"}
            for name in (
                "UserAttributeSimilarityValidator",
                "MinimumLengthValidator",
                "CommonPasswordValidator",
            )
        ],
        "TIME_ZONE": "UTC",
        "LANGUAGE_CODE": "en-gb",
        "FORMAT_MODULE_PATH": ["celery_config.web.formats"],
        "STATIC_URL": "static/",
        # Static files are served from the packages themselves: nothing to collect before a start.
        "WHITENOISE_USE_FINDERS": True,
        # After a login at /admin/login/ itself, which names no page to return to.
        "LOGIN_REDIRECT_URL": "admin:index",
        # Cookies ignore ports: without names of their own four admins on one host log each other out.
        "SESSION_COOKIE_NAME": f"{service}_session",
        "CSRF_COOKIE_NAME": f"{service}_csrf",
        "SESSION_COOKIE_SECURE": tls,
        "CSRF_COOKIE_SECURE": tls,
        "TLS": tls,
        # Where other services call, over plain HTTP; 0: nowhere.
        "INTERNAL_PORT": env.int("INTERNAL_PORT", 0),
        "SECURE_HSTS_SECONDS": 31_536_000 if tls else 0,
        # They bind every other host of the domain, and a browser never forgets the second.
        "SECURE_HSTS_INCLUDE_SUBDOMAINS": env.bool("HSTS_INCLUDE_SUBDOMAINS", False),
        "SECURE_HSTS_PRELOAD": env.bool("HSTS_PRELOAD", False),
        # Django asks for these two, and for its redirect; HttpsMiddleware refuses instead.
        "SILENCED_SYSTEM_CHECKS": ["security.W005", "security.W008", "security.W021"],
        "SECURE_PROXY_SSL_HEADER": ("HTTP_X_FORWARDED_PROTO", "https") if tls else None,
    }
