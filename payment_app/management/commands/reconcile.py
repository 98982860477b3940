"""`./manage.py payment reconcile`"""

from celery_config.reconciliation.sweep import ReconcileCommand
from payment_app.reconciliation import SOURCE


class Command(ReconcileCommand):
    source = SOURCE
