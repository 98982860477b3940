"""What payment publishes of its tables, and what it keeps of others'."""

from __future__ import annotations

from celery_config.contracts.order import CustomerChanged, CustomerDeleted
from celery_config.contracts.payment import CurrencyChanged, CurrencyDeleted
from celery_config.copies.registry import keep_copy, publish
from payment_app.models import BillingCustomer, Currency

publish(Currency, CurrencyChanged, CurrencyDeleted)
keep_copy(BillingCustomer, CustomerChanged, CustomerDeleted)
