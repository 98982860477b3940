"""`./manage.py shipment reconcile`"""

from celery_config.reconciliation.sweep import ReconcileCommand
from shipment_app.reconciliation import SOURCE


class Command(ReconcileCommand):
    source = SOURCE
