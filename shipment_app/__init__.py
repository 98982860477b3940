"""The shipment service: books carriers and dispatches parcels."""

from celery_config.app import make_celery

celery_app = make_celery("shipment")
