"""The order service behind a web server."""

from celery_config import wsgi

application = wsgi.application("order_project")
