"""The subscriptions of inventory: its part in a choreographed order."""

from __future__ import annotations

from celery_config.contracts.inventory import (
    CommitStock,
    InventoryFetched,
    InventoryIssued,
    InventoryRefused,
    InventoryReturned,
    ReleaseStock,
    ReserveStock,
)
from celery_config.contracts.payment import PaymentCollected, PaymentReceived, PaymentReleased
from celery_config.contracts.subscriptions import react

SUBSCRIPTIONS = [
    react(PaymentReceived, do=ReserveStock, announce=InventoryFetched, refused=InventoryRefused),
    react(PaymentCollected, do=CommitStock, announce=InventoryIssued),
    react(PaymentReleased, undo=ReserveStock, by=ReleaseStock, announce=InventoryReturned),
]
