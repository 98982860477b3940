"""What shipment remembers of a person, and what is left of it once they are forgotten. What was sent, when, how
heavy and to which country stays, as does the carrier's name for it: it names a parcel and nobody.
"""

from __future__ import annotations

from celery_config.erasure.data_map import DataMap
from celery_config.erasure.locations import DataLocation
from shipment_app.models import DeliveryAddress, Shipment

DATA_MAP = DataMap(
    locations=(
        DataLocation(
            Shipment, by=("order",), blank=dict.fromkeys(("name", "line1", "city", "postal_code"), "")
        ),
    ),
    copy=DeliveryAddress,
)
