"""The inventory service: products, stock, reservations."""

from .config.celery import app as celery_app

__all__ = ["celery_app"]
