"""What payment remembers of a person, and what is left of it once they are forgotten. Ledger, amounts and the
provider's names of payments stay: books have to be kept, and they name nobody.
"""

from __future__ import annotations

from celery_config.erasure.data_map import DataMap
from celery_config.erasure.locations import DataLocation
from payment_app.models import BillingCustomer, Payment

DATA_MAP = DataMap(
    locations=(DataLocation(Payment, by=("order",), blank={"customer": None}),),
    copy=BillingCustomer,
)
