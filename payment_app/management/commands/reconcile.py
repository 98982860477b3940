"""`./manage.py payment reconcile`"""

from celery_config.reconciliation.sweep import ReconcileCommand
from payment_app.reconciliation import books


class Command(ReconcileCommand):
    books = books
