"""Errors of the inventory service. Pure.

InventoryError
├── UnknownProduct      no product has this SKU
├── RepeatedProduct     one call names a product twice
├── StockBelowReserved  an adjustment would take away what orders hold
├── AdjustmentConflict  one adjustment id with two different adjustments
└── ReservationLost     an order's reservation is in another state than the command needs
    └── ReservationMissing  or it is missing
"""

from __future__ import annotations

from celery_config.errors import OrderSagaError, StepLost


class InventoryError(OrderSagaError):
    """Base of all; the API answers it with its stable `code`."""

    code = "inventory_error"


class UnknownProduct(InventoryError):
    """Create the product first: POST /api/products/."""

    code = "unknown_sku"


class RepeatedProduct(InventoryError):
    """Name each product once in a call."""

    code = "repeated_sku"


class StockBelowReserved(InventoryError):
    """Adjust by less, or wait until the orders are released or committed."""

    code = "stock_below_reserved"


class AdjustmentConflict(InventoryError):
    """Choose a new id for a new adjustment."""

    code = "adjustment_conflict"


class ReservationLost(InventoryError):
    """Compare the order's saga with its reservation and movements here."""

    code = "reservation_lost"


class ReservationMissing(ReservationLost, StepLost):
    """The order's stock was reserved, and there is no such reservation here."""
