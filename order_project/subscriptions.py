"""What the order service listens to."""

from __future__ import annotations

from celery_config.contracts.base import StepGaveUp, StepTried
from celery_config.contracts.inventory import (
    InventoryFetched,
    InventoryIssued,
    InventoryRefused,
    InventoryReturned,
    ProductChanged,
    ProductDeleted,
)
from celery_config.contracts.payment import (
    CurrencyChanged,
    CurrencyDeleted,
    PaymentCollected,
    PaymentFailed,
    PaymentReceived,
    PaymentReleased,
    PaymentRetained,
)
from celery_config.contracts.shipment import (
    ShipmentArranged,
    ShipmentDeparted,
    ShipmentFailed,
    ShipmentRecalled,
)
from celery_config.contracts.subscriptions import subscribe, subscribe_saga_log

# Repeats of all of these are harmless: the version decides, the saga log only rises, and seen is seen. A try is told
# once by the id of its event.
SUBSCRIPTIONS = [
    subscribe(
        ProductChanged, ProductDeleted, CurrencyChanged, CurrencyDeleted,
        call="celery_config.copies.subscriber.handle_events", once=False,
    ),
    subscribe_saga_log(),
    subscribe(StepTried, call="celery_config.saga.engine.step_tries.write_tries", once=False),
    subscribe(
        PaymentReceived, InventoryFetched, ShipmentArranged, PaymentCollected, InventoryIssued, ShipmentDeparted,
        PaymentFailed, InventoryRefused, ShipmentFailed, PaymentRetained, PaymentReleased, InventoryReturned,
        ShipmentRecalled, StepGaveUp,
        call="order_project.choreography.subscriber.handle_events", once=False,
    ),
]  # fmt: skip
