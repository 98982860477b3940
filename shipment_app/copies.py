"""The copies that shipment keeps of other services' tables."""

from __future__ import annotations

from celery_config.contracts.order import CustomerChanged, CustomerDeleted
from celery_config.copies.registry import keep
from shipment_app.models import DeliveryAddress

keep(DeliveryAddress, CustomerChanged, CustomerDeleted)
