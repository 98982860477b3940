"""The payment service: it holds and takes money, and keeps the ledger."""

from .config.celery import app as celery_app

__all__ = ["celery_app"]
