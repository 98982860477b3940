"""The data map of shipment: erasure clears name and address.

The country, the weight, the times and the carrier's id of a shipment stay; they name no person.
"""

from __future__ import annotations

from celery_config.erasure.data_map import DataMap
from celery_config.erasure.locations import DataLocation
from shipment_app.models import DeliveryAddress, Shipment

DATA_MAP = DataMap(
    locations=(
        DataLocation(
            Shipment,
            by=("order",),
            blank=dict.fromkeys(("name", "line1", "line2", "city", "region", "postal_code"), ""),
        ),
    ),
    copy=DeliveryAddress,
)
