"""The payment service behind a web server."""

from celery_config import wsgi

application = wsgi.application("payment_app")
