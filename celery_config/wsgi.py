"""WSGI application of a service: it answers its first request as fast as any other."""

from __future__ import annotations

import os

from django.core.handlers.wsgi import WSGIHandler
from django.core.wsgi import get_wsgi_application


def application(package: str) -> WSGIHandler:
    """Make the WSGI application of the service in `package`."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", f"{package}.config.settings")
    handler = get_wsgi_application()
    from celery_config.participant.handlers import load_handlers  # needs the Django apps

    load_handlers()  # loads the tasks now; the first command over REST must be answered in time
    return handler
