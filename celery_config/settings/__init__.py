"""Settings that all services share, Django's and Celery's; each value can be set in the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from django.core.exceptions import ImproperlyConfigured

from celery_config.broker.message_authentication import MessageKeys, Mode, read_keys
from celery_config.common.declarations import FILE
from celery_config.common.logging import configure_logging
from celery_config.common.service_calls import list_operator_pairs, list_pairs, name_shared_token, name_token
from celery_config.common.services import ORCHESTRATOR, SERVICES, SUBSCRIPTIONS
from celery_config.common.timeouts import Timeouts
from celery_config.http.service_tokens import ServiceTokens, TokenMode
from celery_config.settings.addresses import flower_public_url, public_urls, service_url
from celery_config.settings.api import api_settings
from celery_config.settings.celery import celery_settings
from celery_config.settings.databases import database_settings, owner_settings
from celery_config.settings.environment import ROOT, env
from celery_config.settings.sign_on import sign_on_settings
from celery_config.settings.web import web_settings

M = TypeVar("M", bound=StrEnum)
ENVIRONMENTS = ("local", "production")
LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "[::1]")
__all__ = ["celery_settings", "env", "service_settings"]


def service_settings(
    service: str,
    *,
    apps: tuple[str, ...] = (),
    duties: tuple[str, ...] = (),
    measures: tuple[str, ...] = (),
    flow_checks: Mapping[str, str] = MappingProxyType({}),
    ready_notes: Mapping[str, str] = MappingProxyType({}),
    secrets: tuple[str, ...] = (),
    board: Mapping[str, tuple[int, Sequence[str]]] = MappingProxyType({}),
    tiles: tuple[str, ...] = (),
    badges: tuple[str, ...] = (),
) -> dict[str, Any]:
    """The settings of one service.

    Args:
        service: its name, as it declares it; in capitals the prefix of its environment variables.
        apps: further Django apps.
        duties: dotted paths of functions that return what its relay does besides the duties of every relay.
        measures: dotted paths of functions that return what its database says, for Prometheus.
        flow_checks: dotted paths of functions that say whether something moves, by the names that `/flowz` gives them.
        ready_notes: dotted paths of functions whose words `/readyz` adds; they do not change its status.
        secrets: further environment variables that production must set.
        board: further parts of the admin's home: how often each is asked for, in seconds, and its providers.
        tiles: providers of a part of the admin's home that is asked for every two seconds.
        badges: functions that count what waits for somebody, by the label of the model whose page shows it.

    Raises:
        ImproperlyConfigured: there is no such environment, a secret, database or broker is missing, or no
            service declares this name.
    """
    if service not in SERVICES:
        raise ImproperlyConfigured(
            f"No service declares the name {service!r}: write it into {FILE} in the folder of its package."
        )
    prefix, package = service.upper(), SERVICES[service].package
    var = Path(env.str("ORDER_SAGA_VAR", "") or ROOT / "var")
    embedded = var / "embedded"
    environment = env.str("ENVIRONMENT", "local")
    if environment not in ENVIRONMENTS:
        raise ImproperlyConfigured(f"ENVIRONMENT is {environment!r}; it is one of {', '.join(ENVIRONMENTS)}.")
    production = environment == "production"
    tls = production and env.bool("TLS", True)
    hosts = env.list(f"{prefix}_HOSTS", default=[*LOOPBACK_HOSTS])
    keys = map(name_keys, known_keys(service))
    tokens = [*map(name_token, list_pairs(service))]
    if read_token_mode() is TokenMode.SHARED:
        tokens = [name_shared_token(service)]
    with_known_defaults = (f"{prefix}_SECRET_KEY", *tokens, *keys, *secrets)
    if production:
        servers = (f"{prefix}_{name}" for name in ("DATABASE_URL", "BROKER_URL", "HOSTS"))
        demand("ENVIRONMENT=production", *servers, *with_known_defaults)
    elif set(hosts) - set(LOOPBACK_HOSTS):
        # The defaults stand in this repository, so they are for a machine that others cannot reach.
        demand(f"{prefix}_HOSTS with a host that is not this machine", *with_known_defaults)
    configure_logging(service, env.str("LOG_FORMAT", "auto"), env.str("LOG_LEVEL", "INFO"))

    return {
        "SERVICE": service,
        "SUBSCRIPTIONS": SUBSCRIPTIONS[service],
        "ENVIRONMENT": environment,
        "BASE_DIR": ROOT,
        "VAR": var,
        "DEBUG": False,
        # What one service signed, no other takes, even if they were given one key.
        "SECRET_KEY": env.str(f"{prefix}_SECRET_KEY", f"local-only-{service}-" + "k" * 50) + f":{service}",
        "SERVICE_URL": service_url(service),
        # For audit, importer, and copies, which compare themselves with their source.
        "SERVICE_URLS": {name: service_url(name) for name in SERVICES},
        # For links from the pages of one service to those of another, and to Flower.
        "PUBLIC_URLS": public_urls(),
        "FLOWER_PUBLIC_URL": flower_public_url(),
        "SERVICE_TOKENS": read_service_tokens(service, with_defaults=not production),
        "MESSAGE_KEYS": read_message_keys(service),
        "ALLOWED_HOSTS": hosts,
        "CSRF_TRUSTED_ORIGINS": env.list(f"{prefix}_TRUSTED_ORIGINS", default=[]),
        "DATABASES": {
            "default": database_settings(f"{prefix}_DATABASE_URL", embedded / f"{service}.sqlite3")
        },
        # How `migrate` logs in.
        "OWNER_DATABASE": owner_settings(f"{prefix}_OWNER_DATABASE_URL"),
        "DEFAULT_AUTO_FIELD": "django.db.models.BigAutoField",
        "LOGGING_CONFIG": None,
        # What web, worker and relay allow one statement. Commands (migrate, audit, sync, …) have no limit.
        "STATEMENT_SECONDS": env.float("STATEMENT_SECONDS", 15.0),
        "TIMES": Timeouts(
            scale=env.float("SAGA_TIME_SCALE", 1.0), queued_deadlines=env.float("QUEUED_DEADLINES", 4.0)
        ),
        # The owner decides about a parked saga within so many hours.
        # Another person approves a settlement by hand, and the start of a batch of more flows than this.
        "FOUR_EYES": env.bool("FOUR_EYES", False),
        "FOUR_EYES_ABOVE": env.int("FOUR_EYES_ABOVE", 100),
        "APPROVAL_HOURS": env.float("APPROVAL_HOURS", 24.0),
        "PARKED_OWNER": env.str("PARKED_OWNER", "operations"),
        "PARKED_ANSWER_HOURS": env.float("PARKED_ANSWER_HOURS", 4.0),
        "RELAY_DUTIES": [
            "celery_config.messaging.duties.standard_duties",
            "celery_config.copies.duties.duties",
            *duties,
        ],
        "MEASURES": [
            "celery_config.messaging.measures.measure_outbox",
            "celery_config.messaging.measures.measure_trouble",
            "celery_config.messaging.measures.measure_recovery",
            "celery_config.copies.measures.measure_copies",
            *measures,
        ],
        "FLOW_CHECKS": {
            "relay": "celery_config.messaging.measures.check_relay",
            "messages": "celery_config.messaging.trouble.check_messages",
            "set_aside": "celery_config.messaging.measures.check_set_aside",
            "recovery": "celery_config.messaging.measures.check_recovery",
            "copies": "celery_config.copies.freshness.summarize_lag",
            **flow_checks,
        },
        "READY_NOTES": {"holds": "celery_config.messaging.holds.releasing.check_holds", **ready_notes},
        "BADGES": badges,
        "BOARD": {
            **board,
            **({"own": (2, tiles)} if tiles else {}),
            "service": (
                2,
                ["celery_config.messaging.board.show_messages", "celery_config.copies.board.show_copies"],
            ),
        },
        "METRICS_PORT": env.int("METRICS_PORT", 0),
        "METRICS_HOST": env.str("METRICS_HOST", "127.0.0.1"),
        # Where the relay listens for processes that wrote to the outbox, `host:port` (UDP).
        "RELAY_WAKE": env.str(f"{prefix}_RELAY_WAKE", ""),
        "RELAY_POLL_SECONDS": env.float("RELAY_POLL_SECONDS", 0.02),
        # Orders wait for their chains; the events of participants can wait, and each batch costs the same.
        "RELAY_GATHER_SECONDS": env.float("RELAY_GATHER_SECONDS", 0.01 if service == ORCHESTRATOR else 0.03),
        "RELAY_BATCH": env.int("RELAY_BATCH", 200),
        # A copy is late when it is so many seconds behind; it is compared with its source every so many hours.
        "COPY_LAG_LIMIT_SECONDS": env.float("COPY_LAG_LIMIT_SECONDS", 60.0),
        "COPY_CHECK_HOURS": env.float("COPY_CHECK_HOURS", 24.0),
        "BOOKS_CHECK_HOURS": env.float("BOOKS_CHECK_HOURS", 24.0),
        # A worker ends when one handler, or one call of it to the outside, takes longer.
        "HANDLER_SECONDS": env.float("HANDLER_SECONDS", 300.0),
        # A provider or carrier may forget an idempotency key after a day (https://docs.stripe.com/api/idempotent_requests);
        # an hour earlier a call is looked up before it is repeated.
        "PROVIDER_KEY_HOURS": env.float("PROVIDER_KEY_HOURS", 23.0),
        "SAGA_RETENTION_DAYS": env.float("SAGA_RETENTION_DAYS", 90),
        "EVENT_RETENTION_DAYS": env.float("EVENT_RETENTION_DAYS", 30),
        **web_settings(service, package, apps, tls=tls),
        **sign_on_settings(service, production=production),
        **api_settings(service, tls=tls),
        **celery_settings(service, env.str(f"{prefix}_BROKER_URL", "filesystem://"), embedded / "broker"),
    }


def demand(why: str, *names: str) -> None:
    """
    Raises:
        ImproperlyConfigured: one of the variables is not in the environment, or is empty.
    """
    missing = [name for name in names if not os.environ.get(name)]
    if missing:
        raise ImproperlyConfigured(f"{why} needs {', '.join(missing)} in the environment.")


def read_mode(variable: str, default: M) -> M:
    """
    Raises:
        ImproperlyConfigured: the variable is none of the values of its mode.
    """
    modes, text = type(default), env.str(variable, default.value)
    if text not in [*modes]:
        raise ImproperlyConfigured(f"{variable} is {text!r}; it is one of {', '.join(modes)}.")
    return modes(text)


def read_token_mode() -> TokenMode:
    return read_mode("SERVICE_AUTHENTICATION", TokenMode.REQUIRE)


def read_service_tokens(service: str, *, with_defaults: bool) -> ServiceTokens:
    """The tokens with which others call `service` and it calls others, and the operator's, as far as they are there.

    Args:
        with_defaults: a token that is not in the environment has a known value, for this machine alone.
    """
    tokens = {}
    for pair in dict.fromkeys([*list_pairs(service), *list_operator_pairs()]):
        default = f"local-only-{'-to-'.join(pair)}-token" if with_defaults else ""
        if known := read_keys(env.str(name_token(pair), default)):
            tokens[pair] = known
    shared = {name: env.str(name_shared_token(name), "").encode() for name in SERVICES}
    return ServiceTokens(
        service, tokens, {name: token for name, token in shared.items() if token}, read_token_mode()
    )


def read_message_keys(service: str) -> MessageKeys:
    """The keys that prove who made a message; a participant has its own, the orchestrator has all.

    Raises:
        ImproperlyConfigured: MESSAGE_AUTHENTICATION is none of its values, or a key is empty.
    """
    mode = read_mode("MESSAGE_AUTHENTICATION", Mode.REQUIRE)
    keys = {
        name: read_keys(env.str(name_keys(name), f"local-only-{name}-messages"))
        for name in known_keys(service)
    }
    if empty := [name_keys(name) for name, some in keys.items() if not some]:
        raise ImproperlyConfigured(f"{', '.join(empty)} holds no key.")
    return MessageKeys(keys, mode)


def known_keys(service: str) -> tuple[str, ...]:
    """The services whose message keys `service` holds."""
    return tuple(SERVICES) if service == ORCHESTRATOR else (service,)


def name_keys(service: str) -> str:
    """The environment variable of a service's message keys."""
    return f"{service.upper()}_MESSAGE_KEYS"
