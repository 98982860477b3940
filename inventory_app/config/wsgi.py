"""The inventory service behind a web server."""

from celery_config import wsgi

application = wsgi.application("inventory_app")
