"""The copies that shipment keeps of other services' tables."""

from __future__ import annotations

from celery_config.contracts.order import CustomerChanged, CustomerDeleted
from celery_config.copies.registry import keep_copy
from shipment_app.models import DeliveryAddress

keep_copy(DeliveryAddress, CustomerChanged, CustomerDeleted)
