"""Health: `/healthz` answers while the process lives, `/readyz` checks what it needs, `/metrics` is for Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from celery import current_app
from django.db import DatabaseError, InterfaceError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from celery_config.copies import freshness
from celery_config.copies.registry import copies
from celery_config.messaging.outbox.relay import oldest_unpublished_seconds

RELAY_LAG_LIMIT = 60.0


def healthz(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok", content_type="text/plain")


def readyz(request: HttpRequest) -> HttpResponse:
    """200 when database, broker and relay are fine, else 503; the body names what is not.

    The body also names copies that are late. They do not make the service unready, because their rows are still useful.
    """
    relay = ask_database(check_relay)
    found = {"database": check_database(), "broker": check_broker(), "relay": relay}
    good = all(text.startswith("ok") for text in found.values())
    late = {"copies": ask_database(freshness.summarize_lag)} if copies else {}
    return JsonResponse({"ready": good, **found, **late}, status=200 if good else 503)


def metrics(request: HttpRequest) -> HttpResponse:
    return HttpResponse(generate_latest(), content_type=CONTENT_TYPE_LATEST)


def check_database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except (DatabaseError, InterfaceError) as error:
        return f"away: {type(error).__name__}"
    return "ok"


def check_broker() -> str:
    try:
        with current_app.connection_for_write() as broker_connection:
            broker_connection.ensure_connection(max_retries=0, timeout=3)
    except Exception as error:  # a transport may raise any error
        return f"away: {type(error).__name__}"
    return "ok"


def check_relay() -> str:
    lag = oldest_unpublished_seconds()
    if lag < RELAY_LAG_LIMIT:
        return f"ok: {lag:.1f} s behind"
    return f"late: {lag:.0f} s behind; is the relay running?"


def ask_database(check: Callable[[], str]) -> str:
    try:
        return check()
    except (DatabaseError, InterfaceError):
        return "unknown: no database"
