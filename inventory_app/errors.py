"""Errors of the inventory service. Pure."""

from __future__ import annotations

from celery_config.errors import OrderSagaError, StateContradicted, StepLost


class InventoryError(OrderSagaError):
    """Base of all; the API answers it with its stable `code`."""

    code = "inventory_error"


class UnknownProduct(InventoryError):
    """No product has this SKU; create it first: POST /api/products/."""

    code = "unknown_sku"


class RepeatedProduct(InventoryError):
    """One call names a product twice; name each once."""

    code = "repeated_sku"


class StockBelowReserved(InventoryError):
    """An adjustment would take what orders hold; adjust by less, or wait until they are released or committed."""

    code = "stock_below_reserved"


class AdjustmentConflict(InventoryError):
    """One id names two different adjustments; choose a new id for the new one."""

    code = "adjustment_conflict"


class ReservationLost(InventoryError, StateContradicted):
    """An order's reservation is missing, or in another state than the command needs.

    Compare the order's saga with its reservation and movements here.
    """

    code = "reservation_lost"


class ReservationMissing(ReservationLost, StepLost):
    """The order's stock was reserved, and there is no such reservation here."""
