"""The shipment service: books carriers and dispatches parcels."""

from .config.celery import app as celery_app

__all__ = ["celery_app"]
