"""Sagas for operators: where each stands, what is parked, and the verbs, each with its page and its trail."""

# The sidebar lists them in the order in which they register.
from celery_config.saga.admin.sagas import SagaAdmin  # isort: skip
from celery_config.saga.admin import parked, batches, approvals, holds, pauses, dead_letters, records  # isort: skip

__all__ = ["SagaAdmin", "approvals", "batches", "dead_letters", "holds", "parked", "pauses", "records"]
