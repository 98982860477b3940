"""What shipment remembers of a person, and what is left of it once they are forgotten. What was sent, when, how
heavy and to which country stays, as does the carrier's name for it: it names a parcel and nobody.
"""

from __future__ import annotations

from celery_config.erasure.data_map import Memory
from celery_config.erasure.locations import Trace
from shipment_app.models import DeliveryAddress, Shipment

MEMORY = Memory(
    traces=(
        Trace(Shipment, by=("order",), blank=dict.fromkeys(("name", "line1", "city", "postal_code"), "")),
    ),
    copy=DeliveryAddress,
)
