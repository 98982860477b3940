"""The reconciliation source of payment: the provider's authorizations, compared with our payments."""

from __future__ import annotations

from celery_config.messaging.outbox.relay import Duty
from celery_config.reconciliation.source import ReconciliationSource
from celery_config.reconciliation.sweep import make_duties
from payment_app.gateways import gateway
from payment_app.models import Payment

SOURCE = ReconciliationSource(
    name="provider",
    entries="authorizations",
    client=gateway,
    model=Payment,
    id_field="provider_id",
    facts=("state", "amount", "currency", "captured", "refunded"),
)


def duties() -> list[Duty]:
    """For RELAY_DUTIES."""
    return make_duties(SOURCE)
