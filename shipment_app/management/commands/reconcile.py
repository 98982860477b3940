"""`./manage.py shipment reconcile`"""

from celery_config.sweep import ReconcileCommand
from shipment_app.reconciliation import books


class Command(ReconcileCommand):
    books = books
