"""What inventory publishes of its tables, and what it keeps of others'."""

from __future__ import annotations

from celery_config.contracts.inventory import ProductChanged, ProductDeleted
from celery_config.contracts.payment import CurrencyChanged, CurrencyDeleted
from celery_config.copies.registry import keep_copy, publish
from inventory_app.models import PayableCurrency, Product

publish(Product, ProductChanged, ProductDeleted)
keep_copy(PayableCurrency, CurrencyChanged, CurrencyDeleted)
