"""The subscriptions of inventory: its copy of payment's currencies, and its part in a choreographed order."""

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
from celery_config.contracts.payment import (
    CurrencyChanged,
    CurrencyDeleted,
    PaymentCollected,
    PaymentReceived,
    PaymentReleased,
)
from celery_config.contracts.subscriptions import EventSubscription, ReactionRule, react, subscribe

SUBSCRIPTIONS: list[EventSubscription | ReactionRule] = [
    subscribe(CurrencyChanged, CurrencyDeleted, call="celery_config.copies.subscriber.handle_events", once=False),
    react(PaymentReceived, do=ReserveStock, announce=InventoryFetched, refused=InventoryRefused),
    react(PaymentCollected, do=CommitStock, announce=InventoryIssued),
    react(PaymentReleased, undo=ReserveStock, by=ReleaseStock, announce=InventoryReturned),
]  # fmt: skip
