"""`./manage.py payment reconcile`"""

from celery_config.sweep import ReconcileCommand
from payment_app.reconciliation import books


class Command(ReconcileCommand):
    books = books
