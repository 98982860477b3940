"""The copies that payment keeps of other services' tables."""

from __future__ import annotations

from celery_config.contracts.order import CustomerChanged, CustomerDeleted
from celery_config.copies.registry import keep_copy
from payment_app.models import BillingCustomer

keep_copy(BillingCustomer, CustomerChanged, CustomerDeleted)
