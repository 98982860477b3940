"""The flows, one file each. Importing this package registers them."""

from order_project.sagas import place_order, refund_order

__all__ = ["place_order", "refund_order"]
