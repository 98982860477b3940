"""`./manage.py shipment reconcile`"""

from celery_config.reconciliation.sweep import ReconcileCommand
from shipment_app.reconciliation import books


class Command(ReconcileCommand):
    books = books
