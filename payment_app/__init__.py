"""The payment service: it authorizes and captures money, and keeps the ledger."""

from .config.celery import app as celery_app

__all__ = ["celery_app"]
