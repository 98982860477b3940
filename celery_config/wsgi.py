"""What a service's web server loads."""

from __future__ import annotations

import os

from django.core.handlers.wsgi import WSGIHandler
from django.core.wsgi import get_wsgi_application


def application(package: str) -> WSGIHandler:
    """The WSGI application of the service in `package`."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", f"{package}.config.settings")
    made = get_wsgi_application()
    from celery_config.participant.handlers import load_handlers  # which needs the apps

    load_handlers()  # not with the first command over REST, which has to be answered in time
    return made
