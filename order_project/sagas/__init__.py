"""The flows, one file each. Importing this package registers them."""

from order_project.sagas import forget_customer, place_order, refund_order

__all__ = ["forget_customer", "place_order", "refund_order"]
