"""What can go wrong in shipment, besides a refusal of a command.

ShipmentError
├── NoShipment         an order has no shipment here that could be cancelled or dispatched
└── CarrierDisagrees   the carrier says that a shipment ended the other way
"""

from __future__ import annotations

from celery_config.errors import OrderSagaError


class ShipmentError(OrderSagaError):
    """Base of all; `code` is stable."""

    code = "shipment_error"


class NoShipment(ShipmentError):
    """Compare the order's saga with the barrier and the shipments here, and with the carrier's books."""

    code = "no_shipment"


class CarrierDisagrees(ShipmentError):
    """Somebody ended the shipment at the carrier behind our back; settle it with the carrier."""

    code = "carrier_disagrees"
