"""The data map of payment: erasure clears who paid; ledger, amounts and the provider's ids stay and name no person."""

from __future__ import annotations

from celery_config.erasure.data_map import DataMap
from celery_config.erasure.locations import DataLocation
from payment_app.models import BillingCustomer, Payment

DATA_MAP = DataMap(
    locations=(DataLocation(Payment, by=("order",), blank={"customer": None}),),
    copy=BillingCustomer,
)
