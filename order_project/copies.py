"""What the order service publishes of its tables, and what it keeps of others'."""

from __future__ import annotations

from celery_config.contracts.inventory import ProductChanged, ProductDeleted
from celery_config.contracts.order import CustomerChanged, CustomerDeleted
from celery_config.contracts.payment import CurrencyChanged, CurrencyDeleted
from celery_config.copies.registry import keep_copy, publish
from order_project.models import CatalogueProduct, Customer, PayableCurrency

publish(Customer, CustomerChanged, CustomerDeleted)
keep_copy(CatalogueProduct, ProductChanged, ProductDeleted)
keep_copy(PayableCurrency, CurrencyChanged, CurrencyDeleted)
