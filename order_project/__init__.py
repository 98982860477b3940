"""The order service: it owns the flow (sagas/) and the state of every order."""

from celery_config.app import make_celery

celery_app = make_celery("order")
