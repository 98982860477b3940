"""The inventory service: it keeps products and stock, and reserves stock for orders."""

from .config.celery import app as celery_app

__all__ = ["celery_app"]
