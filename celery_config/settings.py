"""The Django and Celery settings every service starts from; all of them come from the environment."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured

from celery_config import topology
from celery_config.logging import configure_logging
from celery_config.times import Times

ROOT = Path(__file__).resolve().parent.parent
env = environ.Env()

THIRD_PARTY_APPS = [
    # Not unfold's own configuration, which would put its site in the place of ours.
    "unfold.apps.BasicAppConfig",
    "unfold.contrib.filters",
    "celery_config.api.apps.ServiceAdminConfig",
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


def service_settings(
    service: str, package: str, *, apps: tuple[str, ...] = (), secrets: tuple[str, ...] = ()
) -> dict[str, Any]:
    """The settings of one service.

    Args:
        service: its name in the topology; the prefix of its environment variables in capitals.
        package: its Python package, which is its one Django app.
        apps: further Django apps.
        secrets: further environment variables that production must set.

    Raises:
        ImproperlyConfigured: in production a secret, database or broker is not named.
    """
    prefix = service.upper()
    var = Path(env.str("ORDER_SAGA_VAR", str(ROOT / "var")))
    embedded = var / "embedded"
    production = env.str("ENVIRONMENT", "local") == "production"
    tls = production and env.bool("TLS", True)
    if production:
        names = [
            f"{prefix}_{n}" for n in ("DATABASE_URL", "BROKER_URL", "SECRET_KEY", "SERVICE_TOKEN", "HOSTS")
        ]
        missing = [name for name in (*names, *secrets) if not os.environ.get(name)]
        if missing:
            raise ImproperlyConfigured(
                f"ENVIRONMENT=production needs {', '.join(missing)} in the environment."
            )
    configure_logging(service, env.str("LOG_FORMAT", "auto"), env.str("LOG_LEVEL", "INFO"))

    return {
        "SERVICE": service,
        "ENVIRONMENT": "production" if production else "local",
        "BASE_DIR": ROOT,
        "VAR": var,
        "DEBUG": False,
        "SECRET_KEY": env.str(f"{prefix}_SECRET_KEY", f"local-only-{service}-" + "k" * 50),
        "SERVICE_TOKEN": env.str(f"{prefix}_SERVICE_TOKEN", f"local-only-{service}-token"),
        "SERVICE_URL": url_of(service),
        # Where the others are, for who asks them: audit and importer, and copies, whose source proves them.
        "SERVICE_URLS": {name: url_of(name) for name in topology.SERVICES},
        "SERVICE_TOKENS": {
            name: env.str(f"{name.upper()}_SERVICE_TOKEN", f"local-only-{name}-token")
            for name in topology.SERVICES
        },
        "ALLOWED_HOSTS": env.list(f"{prefix}_HOSTS", default=["127.0.0.1", "localhost", "[::1]"]),
        "CSRF_TRUSTED_ORIGINS": env.list(f"{prefix}_TRUSTED_ORIGINS", default=[]),
        "INSTALLED_APPS": [
            "celery_config.api.apps.ApiConfig",  # first: its templates go before unfold's
            *THIRD_PARTY_APPS,
            "celery_config.messaging",
            "celery_config.copies",
            *apps,
            package,
        ],
        "MIDDLEWARE": [
            "celery_config.middleware.RequestContextMiddleware",
            "django.middleware.security.SecurityMiddleware",
            "whitenoise.middleware.WhiteNoiseMiddleware",
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.common.CommonMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.messages.middleware.MessageMiddleware",
            "django.middleware.clickjacking.XFrameOptionsMiddleware",
            "celery_config.middleware.BodyLimitMiddleware",
            "celery_config.middleware.NoNulMiddleware",
        ],
        "ROOT_URLCONF": f"{package}.config.urls",
        "WSGI_APPLICATION": f"{package}.config.wsgi.application",
        "TEMPLATES": [
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "DIRS": [],
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
        "DATABASES": {"default": database(f"{prefix}_DATABASE_URL", embedded / f"{service}.sqlite3")},
        "DEFAULT_AUTO_FIELD": "django.db.models.BigAutoField",
        "AUTH_PASSWORD_VALIDATORS": [
            {"NAME": f"django.contrib.auth.password_validation.{name}"}
            for name in (
                "UserAttributeSimilarityValidator",
                "MinimumLengthValidator",
                "CommonPasswordValidator",
            )
        ],
        "USE_TZ": True,
        "TIME_ZONE": "UTC",
        "LANGUAGE_CODE": "en-gb",
        "FORMAT_MODULE_PATH": ["celery_config.formats"],
        "STATIC_URL": "static/",
        "STATIC_ROOT": None,
        # Static files are served from the packages themselves: nothing to collect before a start.
        "WHITENOISE_USE_FINDERS": True,
        "WHITENOISE_AUTOREFRESH": False,
        "LOGGING_CONFIG": None,
        # Cookies ignore ports: without names of their own four admins on one host log each other out.
        "SESSION_COOKIE_NAME": f"{service}_session",
        "CSRF_COOKIE_NAME": f"{service}_csrf",
        "SESSION_COOKIE_SECURE": tls,
        "CSRF_COOKIE_SECURE": tls,
        "SECURE_SSL_REDIRECT": tls,
        "SECURE_REDIRECT_EXEMPT": [r"^healthz$", r"^readyz$", r"^metrics$"],
        "SECURE_HSTS_SECONDS": 31_536_000 if tls else 0,
        "SECURE_HSTS_INCLUDE_SUBDOMAINS": tls,
        "SECURE_HSTS_PRELOAD": tls,
        "SECURE_PROXY_SSL_HEADER": ("HTTP_X_FORWARDED_PROTO", "https") if tls else None,
        "X_FRAME_OPTIONS": "DENY",
        # Without a number DRF believes whatever address a client claims to come from. TLS ends at a proxy.
        "REST_FRAMEWORK": {**REST_FRAMEWORK, "NUM_PROXIES": 1 if tls else 0},
        "SPECTACULAR_SETTINGS": spectacular(service),
        "UNFOLD": unfold(service),
        "TIMES": Times(scale=env.float("SAGA_TIME_SCALE", 1.0)),
        # Who decides about a parked saga, and within how many hours.
        "PARKED_OWNER": env.str("PARKED_OWNER", "operations"),
        "PARKED_ANSWER_HOURS": env.float("PARKED_ANSWER_HOURS", 4.0),
        # Further duties of the relay, besides publishing: dotted paths of functions that return them.
        "RELAY_DUTIES": [],
        "METRICS_PORT": env.int("METRICS_PORT", 0),
        "METRICS_HOST": env.str("METRICS_HOST", "127.0.0.1"),
        # Where the relay listens for calls of those who promise messages, `host:port` (UDP).
        "RELAY_WAKE": env.str(f"{prefix}_RELAY_WAKE", ""),
        "RELAY_POLL_SECONDS": env.float("RELAY_POLL_SECONDS", 0.02),
        # Orders wait for their chains; what participants tell is in no hurry, and each batch costs the same.
        "RELAY_GATHER_SECONDS": env.float(
            "RELAY_GATHER_SECONDS", 0.01 if service == topology.ORCHESTRATOR else 0.03
        ),
        "RELAY_BATCH": env.int("RELAY_BATCH", 200),
        # Beyond so many seconds behind its source a copy is called late; compared with it every so many hours.
        "COPY_LAG_LIMIT_SECONDS": env.float("COPY_LAG_LIMIT_SECONDS", 60.0),
        "COPY_CHECK_HOURS": env.float("COPY_CHECK_HOURS", 24.0),
        "SAGA_RETENTION_DAYS": env.int("SAGA_RETENTION_DAYS", 90),
        "EVENT_RETENTION_DAYS": env.int("EVENT_RETENTION_DAYS", 30),
        **celery_settings(service, env.str(f"{prefix}_BROKER_URL", "filesystem://"), embedded / "broker"),
    }


def url_of(service: str) -> Any:
    """The base address of a service's web."""
    return env.str(f"{service.upper()}_URL", f"http://127.0.0.1:{8001 + topology.SERVICES.index(service)}")


def database(variable: str, sqlite_file: Path) -> dict[str, Any]:
    """PostgreSQL from `variable`, else SQLite whose transactions are serial from their first statement (rule 26)."""
    if variable in os.environ:
        limits = {
            "lock_timeout": int(Times().lock_wait * 1000),
            # A process that stands still in mid-transaction must not hold its locks for ever. The relay's waits for the
            # broker within its own.
            "idle_in_transaction_session_timeout": int(6 * Times().publish * 1000),
        }
        return {
            **env.db_url(variable),
            "CONN_MAX_AGE": None,
            "CONN_HEALTH_CHECKS": True,
            "OPTIONS": {
                "options": " ".join(f"-c {name}={ms}" for name, ms in limits.items()),
                "connect_timeout": 5,
                # The hot statements never change: planned once a connection, not for each order.
                "server_side_binding": True,
                "prepare_threshold": 2,
            },
        }
    sqlite_file.parent.mkdir(parents=True, exist_ok=True)
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": sqlite_file,
        "CONN_MAX_AGE": None,
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": 30,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
    }


# Over TLS (`amqps`) kombu's own.
TRANSPORTS = {"filesystem": "celery_config.embedded:Transport", "amqp": "celery_config.wire:Transport"}


def celery_settings(service: str, broker_url: str, folder: Path) -> dict[str, Any]:
    """Celery's settings, in the CELERY_ namespace. Each line here is one that the guarantee needs."""
    embedded = broker_url.startswith("filesystem")
    transport: dict[str, Any] = {"confirm_publish": True}
    if embedded:
        for name in ("queue", "processed", "control"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        transport = {
            "data_folder_in": str(folder / "queue"),
            "data_folder_out": str(folder / "queue"),
            "processed_folder": str(folder / "processed"),
            "control_folder": str(folder / "control"),
            "polling_interval": 0.05,
        }
    settings = {
        "broker_url": broker_url,
        "broker_transport": TRANSPORTS.get(broker_url.partition(":")[0]),
        "broker_transport_options": transport,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_heartbeat": 0 if embedded else env.int("BROKER_HEARTBEAT", 30),
        # Further modules with tasks, besides each app's own.
        "imports": env.list("TASK_MODULES", default=[]),
        "accept_content": ["json"],
        "task_serializer": "json",
        "task_ignore_result": True,
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        # An exception after the retries was decided by us: the errback is on its way, so the message is done.
        "task_acks_on_failure_or_timeout": True,
        "task_queues": topology.kombu_queues(declare=embedded),
        "task_create_missing_queues": False,
        "task_default_queue": topology.commands_queue(service),
        "task_default_exchange": topology.COMMANDS,
        "task_default_routing_key": service,
        "task_publish_retry_policy": {
            "max_retries": 5,
            "interval_start": 0.1,
            "interval_step": 0.5,
            "interval_max": 2,
        },
        "worker_consumer": "celery_config.worker:SagaConsumer",
        "worker_prefetch_multiplier": 4,
        "worker_detect_quorum_queues": True,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
        "worker_send_task_events": env.bool("TASK_EVENTS", True),
        "worker_enable_remote_control": not embedded,
        "event_exchange": topology.TASK_EVENTS,
        "control_exchange": topology.control_exchange(service),
        "broker_native_delayed_delivery_queue_type": "quorum",
    }
    # Celery's Django fixup otherwise closes the connection around every task.
    return {f"CELERY_{name.upper()}": value for name, value in settings.items()} | {
        "CELERY_DB_REUSE_MAX": 10**9
    }


def spectacular(service: str) -> dict[str, Any]:
    return {
        "TITLE": f"Order Saga: {service}",
        "VERSION": "1",
        "SERVE_INCLUDE_SCHEMA": False,
        "SWAGGER_UI_DIST": "SIDECAR",
        "SWAGGER_UI_FAVICON_HREF": "/favicon.ico",
        "REDOC_DIST": "SIDECAR",
        "COMPONENT_SPLIT_REQUEST": True,
    }


def unfold(service: str) -> dict[str, Any]:
    """The admin's dress. Four of them are open at once: title, icon and header say which this is."""
    icon = "celery_config.api.site.icon"
    return {
        "SITE_TITLE": f"{service.capitalize()} · Order Saga",
        "SITE_HEADER": service.capitalize(),
        "SITE_SUBHEADER": "Order Saga · times in UTC",
        "SITE_URL": "/",
        "SITE_ICON": icon,
        "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": icon}],
        "ENVIRONMENT": "celery_config.api.site.environment",
        "STYLES": ["/static/order_saga/admin.css"],
    }


REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "celery_config.api.authentication.ServiceAuthentication",
        "celery_config.api.authentication.BuiltTokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAdminUser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["celery_config.api.parsers.Json"],
    "DEFAULT_FILTER_BACKENDS": ["celery_config.api.filters.Filters"],
    "DEFAULT_PAGINATION_CLASS": "celery_config.api.pagination.Pages",
    "DEFAULT_SCHEMA_CLASS": "celery_config.api.schema.QualifiedSchema",
    "EXCEPTION_HANDLER": "celery_config.api.problems.problem_details",
    "PAGE_SIZE": 50,
    # Who guesses passwords gets so far. Counted by each web process, in Django's cache.
    "DEFAULT_THROTTLE_RATES": {"token": "10/minute"},
}
