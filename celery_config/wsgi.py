"""The WSGI application of a service: it answers its first request as fast as any other."""

from __future__ import annotations

import structlog
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver

from celery_config.common import metrics
from celery_config.db.limits import limit_statements

log = structlog.get_logger(__name__)


def make_application() -> WSGIHandler:
    """Make the WSGI application of the service that DJANGO_SETTINGS_MODULE names."""
    handler = get_wsgi_application()
    from celery_config.participant.handlers import load_handlers  # needs the Django apps

    limit_statements(settings.STATEMENT_SECONDS)
    load_handlers()  # loads the tasks now; the first command over REST must be answered in time
    get_resolver().url_patterns  # noqa: B018  (loads the pages and the API now, for the same reason)
    metrics.prepare()
    look_at_epoch()
    return handler


def look_at_epoch() -> None:
    """A restored database refuses clients from the first request on."""
    from django.db import DatabaseError, InterfaceError, connection

    from celery_config.messaging import epochs

    try:
        epochs.current()
    except (DatabaseError, InterfaceError) as error:
        log.warning("it is not known yet whether the database was restored", error=str(error))
    finally:
        connection.close()  # a server that loads the application first and forks then must not share it


application = make_application()
