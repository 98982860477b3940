"""Database settings: PostgreSQL from the environment, else a SQLite file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from celery_config.common.private_folders import make_private_folder
from celery_config.common.timeouts import Timeouts
from celery_config.settings.environment import env

POSTGRES = ("postgres", "postgresql")


def owner_settings(variable: str) -> dict[str, Any]:
    """What the role that owns the tables logs in with; nothing if the variable is not set.

    Raises:
        ImproperlyConfigured: the variable names another kind of database.
    """
    return postgres_settings(variable) if variable in os.environ else {}


def database_settings(variable: str, sqlite_file: Path) -> dict[str, Any]:
    """PostgreSQL from `variable`, else SQLite, whose transactions are serial from the start (rule 26, SQLite).

    Raises:
        ImproperlyConfigured: the variable names another kind of database.
    """
    if variable in os.environ:
        return postgres_settings(variable)
    make_private_folder(sqlite_file.parent)
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


def postgres_settings(variable: str) -> dict[str, Any]:
    """PostgreSQL from `variable`.

    What stands behind the URL's `?` goes to libpq, such as `sslmode=verify-full`; it wins over what is set here.

    Raises:
        ImproperlyConfigured: the variable names another kind of database.
    """
    scheme = urlsplit(os.environ[variable]).scheme
    if scheme not in POSTGRES:
        raise ImproperlyConfigured(
            f"{variable} names a database of the kind {scheme!r}; set it to"
            " postgres://USER:PASSWORD@HOST:5432/DATABASE."
        )
    limits = {
        "lock_timeout": int(Timeouts().lock_wait * 1000),
        # A process that hangs in a transaction must lose its locks. The relay waits for the broker within its
        # transaction.
        "idle_in_transaction_session_timeout": int(6 * Timeouts().publish * 1000),
    }
    named = env.db_url(variable, engine="celery_config.db.postgresql")
    given = named.pop("OPTIONS", {})
    ours = " ".join(f"-c {name}={ms}" for name, ms in limits.items())
    return {
        **named,
        "CONN_MAX_AGE": None,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            "connect_timeout": 3,
            # A host that is gone without a word is noticed within twenty-five seconds.
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 25_000,
            # The frequent statements never change: they are planned once per connection, not for each order.
            "server_side_binding": True,
            "prepare_threshold": 2,
            **given,
            "options": f"{ours} {given.get('options', '')}".strip(),
        },
    }
