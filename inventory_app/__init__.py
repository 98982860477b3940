"""The inventory service: it keeps products and stock, and reserves stock for orders."""

from celery_config.app import make_celery

celery_app = make_celery("inventory")
