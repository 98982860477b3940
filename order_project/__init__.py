"""The order service: it owns the flow (sagas/) and the state of every order."""

from .config.celery import app as celery_app

__all__ = ["celery_app"]
