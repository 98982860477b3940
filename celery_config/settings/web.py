"""Web settings: apps, middleware, templates, cookies and security headers."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from whitenoise.compress import Compressor

from celery_config.settings.environment import env

THIRD_PARTY_APPS = [
    # Unfold's own configuration would replace our admin site by its own.
    "unfold.apps.BasicAppConfig",
    "unfold.contrib.filters",
    "celery_config.web.apps.ServiceAdminConfig",
    "django.contrib.auth",
    "axes",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "knox",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
]


UNUSED_FEATURES = (
    "accelerometer", "autoplay", "camera", "display-capture", "encrypted-media", "fullscreen", "geolocation",
    "gyroscope", "hid", "idle-detection", "magnetometer", "microphone", "midi", "payment", "picture-in-picture",
    "publickey-credentials-get", "screen-wake-lock", "serial", "usb", "xr-spatial-tracking",
)  # fmt: skip
"""Features of browsers that no page of ours uses, and no script that got into one may use."""


def login_settings() -> dict[str, Any]:
    """django-axes: failed logins of all processes are counted in the database."""
    return {
        "AXES_HANDLER": "celery_config.web.logins.LoginFailures",
        "AXES_LOCKOUT_PARAMETERS": [["username", "ip_address"], "ip_address", "username"],
        "AXES_FAILURE_LIMIT": env.int("LOGIN_FAILURES", 5),
        "AXES_COOLOFF_TIME": timedelta(minutes=env.float("LOGIN_LOCK_MINUTES", 15)),
        "AXES_RESET_ON_SUCCESS": True,
        # A try while the lock lasts neither makes it longer nor writes a row.
        "AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT": False,
        "AXES_DISABLE_ACCESS_LOG": True,
        "AXES_ENABLE_ADMIN": False,
        "AXES_VERBOSE": False,
        "AXES_USERNAME_CALLABLE": "celery_config.web.logins.read_name",
        "AXES_CLIENT_IP_CALLABLE": "celery_config.web.client_addresses.read_address",
        "AXES_LOCKOUT_CALLABLE": "celery_config.web.logins.refuse_login",
        # What a form or a query holds is not kept.
        "AXES_SENSITIVE_PARAMETERS": ["username", "password", "ip_address", "csrfmiddlewaretoken", "next"],
    }


def static_settings() -> dict[str, Any]:
    """Static files: from `STATIC_FOLDER`, where `collectstatic` puts them, else from the packages themselves.

    Collected files have their hash in their names, so a browser keeps them for ten years, and are compressed.
    """
    folder = env.str("STATIC_FOLDER", "")
    backend = (
        "celery_config.web.static_files.StaticFilesStorage"
        if folder
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    )
    return {
        "STATIC_URL": "static/",
        "STATIC_ROOT": folder or None,
        # The umask of who collects them decides who may read them.
        "FILE_UPLOAD_PERMISSIONS": None,
        "WHITENOISE_USE_FINDERS": not folder,
        "WHITENOISE_KEEP_ONLY_HASHED_FILES": True,
        # Debuggers alone ask for maps, and they are half of all bytes.
        "WHITENOISE_SKIP_COMPRESS_EXTENSIONS": [*Compressor.SKIP_COMPRESS_EXTENSIONS, "map"],
        "STORAGES": {
            "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
            "staticfiles": {"BACKEND": backend},
        },
    }


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
            "celery_config.checks",
            *apps,
            package,
        ],
        "MIDDLEWARE": [
            "celery_config.web.middleware.RequestContextMiddleware",
            "celery_config.web.middleware.PageCompressionMiddleware",
            "celery_config.web.middleware.ApiSlashMiddleware",
            "celery_config.web.middleware.ContentPolicyMiddleware",
            "django_permissions_policy.PermissionsPolicyMiddleware",
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
            "axes.middleware.AxesMiddleware",
        ],
        **login_settings(),
        "ROOT_URLCONF": "celery_config.urls",
        "DATA_MAP": f"{package}.erasure.DATA_MAP",
        "RECOVERY": f"{package}.recovery.make_plan",
        "GROUPS": f"{package}.groups.GROUPS",
        "WSGI_APPLICATION": "celery_config.wsgi.application",
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
        ]
        + [{"NAME": "celery_config.web.tokens.TokenRevoker"}],
        "TIME_ZONE": "UTC",
        "LANGUAGE_CODE": "en-gb",
        "FORMAT_MODULE_PATH": ["celery_config.web.formats"],
        # Throttles count here. Each entry is a user or an address.
        "CACHES": {
            "default": {
                "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
                "OPTIONS": {"MAX_ENTRIES": 10_000},
            }
        },
        **static_settings(),
        # After a login at /admin/login/ itself, which names no page to return to.
        "LOGIN_REDIRECT_URL": "admin:index",
        # Cookies ignore ports: without names of their own four admins on one host log each other out. Browsers take
        # one whose name begins with `__Host-` only over TLS and from this host itself.
        "SESSION_COOKIE_NAME": f"{'__Host-' if tls else ''}{service}_session",
        "CSRF_COOKIE_NAME": f"{'__Host-' if tls else ''}{service}_csrf",
        "SESSION_COOKIE_AGE": int(3600 * env.float("SESSION_HOURS", 8)),
        # Messages have no cookie of their own, which all services on one host would read.
        "MESSAGE_STORAGE": "django.contrib.messages.storage.session.SessionStorage",
        "PERMISSIONS_POLICY": {feature: [] for feature in UNUSED_FEATURES},
        "SESSION_COOKIE_SECURE": tls,
        "CSRF_COOKIE_SECURE": tls,
        "TLS": tls,
        # Requests that a web process carries out at a time; how many processes share a throttle; clients at a time.
        "WEB_THREADS": env.int("WEB_THREADS", 8),
        "WEB_PROCESSES": env.int("WEB_PROCESSES", 1),
        "WEB_CONNECTIONS": env.int("WEB_CONNECTIONS", 1000),
        "WEB_ACCESS_LOG": env.bool("WEB_ACCESS_LOG", False),
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
