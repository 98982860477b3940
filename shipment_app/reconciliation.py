"""The reconciliation source of shipment: the carrier's shipments, compared with ours."""

from __future__ import annotations

from celery_config.messaging.outbox.relay import Duty
from celery_config.reconciliation.source import ReconciliationSource
from celery_config.reconciliation.sweep import make_duties
from shipment_app.carriers import carrier
from shipment_app.models import Shipment

SOURCE = ReconciliationSource(
    name="carrier",
    entries="shipments",
    client=carrier,
    model=Shipment,
    id_field="carrier_id",
    facts=("state", "tracking_number", "weight_grams", "parcels"),
)


def duties() -> list[Duty]:
    """For RELAY_DUTIES."""
    return make_duties(SOURCE)
