"""The shipment service behind a web server."""

from celery_config import wsgi

application = wsgi.application("shipment_app")
