"""Errors of the shipment service that a human settles. Pure."""

from __future__ import annotations

from celery_config.errors import StateContradicted, StepLost


class ShipmentError(StateContradicted):
    """Base of all; the step is tried again, then the saga is parked for a human. `code` is stable."""

    code = "shipment_error"


class NoShipment(ShipmentError):
    """An order has no shipment here that could be cancelled or dispatched.

    Compare the order's saga with the barrier and the shipments here, and with the carrier's records.
    """

    code = "no_shipment"


class ShipmentMissing(NoShipment, StepLost):
    """The order's shipment was booked, and there is no such shipment here."""


class CarrierDisagrees(ShipmentError):
    """The shipment was ended the other way at the carrier, without us; settle it with the carrier."""

    code = "carrier_disagrees"
