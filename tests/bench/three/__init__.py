"""The saga of the comparison: order, payment, stock and shipment, one row each, in four databases."""
