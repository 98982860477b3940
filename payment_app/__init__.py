"""The payment service: it authorizes and captures money, and keeps the ledger."""

from celery_config.app import make_celery

celery_app = make_celery("payment")
