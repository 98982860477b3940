"""THE FLOW of an order."""

from __future__ import annotations

from dataclasses import dataclass, replace
from uuid import UUID

from celery_config.contracts.inventory import CommitStock, Line, ReleaseStock, ReserveStock
from celery_config.contracts.payment import AuthorizePayment, CapturePayment, VoidPayment
from celery_config.contracts.shipment import Address, BookShipment, CancelShipment, DispatchShipment
from celery_config.saga.dsl import Saga, Via, compensatable, minutes, pivot, retriable
from order_project.services import cancel_orders, confirm_orders


@dataclass(frozen=True, kw_only=True)
class OrderData:
    """What is known when an order is placed; `amount` in minor units of `currency`."""

    order: UUID
    customer: UUID
    amount: int
    currency: str
    payment_token: str
    lines: tuple[Line, ...]
    address: Address
    weight_grams: int
    parcels: int


class PlaceOrder(Saga):
    """Hold the money, reserve the stock, book the carrier, then take the money; or undo all."""

    name, version, deadline, data = "place-order", 1, minutes(15), OrderData
    noun = "order"
    steps = [
        compensatable("authorize-payment", AuthorizePayment, undo=VoidPayment),
        compensatable("reserve-stock", ReserveStock, undo=ReleaseStock),
        compensatable("book-shipment", BookShipment, undo=CancelShipment),
        pivot("capture-payment", CapturePayment),
        retriable("commit-stock", CommitStock),
        retriable("dispatch-shipment", DispatchShipment),
    ]
    on_completed, on_compensated = confirm_orders, cancel_orders


class PlaceOrderStockFirst(Saga):
    """The same with the stock held before the money: no card is touched for goods we do not have."""

    name, version, deadline, data = "place-order", 2, minutes(15), OrderData
    noun = "order"
    steps = [
        compensatable("reserve-stock", ReserveStock, undo=ReleaseStock),
        compensatable("authorize-payment", AuthorizePayment, undo=VoidPayment),
        compensatable("book-shipment", BookShipment, undo=CancelShipment),
        pivot("capture-payment", CapturePayment),
        retriable("commit-stock", CommitStock),
        retriable("dispatch-shipment", DispatchShipment),
    ]
    on_completed, on_compensated = confirm_orders, cancel_orders


class PlaceOrderOverHttp(Saga):
    """The first one with every command sent over REST: the same barriers, refusals and ends."""

    name, version, deadline, data = "place-order", 3, minutes(15), OrderData
    noun = "order"
    steps = [replace(step, via=Via.HTTP) for step in PlaceOrder.steps]
    on_completed, on_compensated = confirm_orders, cancel_orders
