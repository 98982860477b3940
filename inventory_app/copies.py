"""The tables that inventory publishes to other services."""

from __future__ import annotations

from celery_config.contracts.inventory import ProductChanged, ProductDeleted
from celery_config.copies.registry import publish
from inventory_app.models import Product

publish(Product, ProductChanged, ProductDeleted)
