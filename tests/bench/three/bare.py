"""The same three steps as a bare Celery chain: the same rows, one transaction a step, and no guarantee.

Tuned like ours: threads, connections kept, quorum queues, late acknowledgements, confirms, explicit routes.
"""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from celery import chain
from celery.canvas import Signature
from django.db import connection, transaction

from celery_config.common.identifiers import uuid7
from tests.bench.bare.app import EXCHANGE, app
from tests.bench.three.goods import Wanted
from tests.bench.three.placed import PlacedThree
from tests.bench.three.sql import END_ORDERS, INSERT_ORDERS, MOVE_STOCK, NOTE_TAKEN, SEND_PARCELS, TAKE_MONEY


class Bare(PlacedThree):
    def place(self, wanted: Wanted) -> None:
        key = uuid7()
        execute(INSERT_ORDERS, [key], [wanted.amount])
        who = {"order": str(key)}
        chain(
            link("payment.take_money", **who, amount=wanted.amount),
            link("inventory.take_goods", **who, sku=wanted.sku, quantity=wanted.quantity),
            link("shipment.send_parcel", **who, address=wanted.address),
            link("order.confirm", **who),
        ).apply_async(({},))


def side() -> Bare:
    return Bare()


def link(name: str, **kwargs: Any) -> Signature:
    route = {"exchange": EXCHANGE.name, "routing_key": name.split(".")[0], "mandatory": True}
    return app.signature(f"three.{name}", kwargs=kwargs, options=route)


def execute(statement: str, *values: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)


@app.task(name="three.payment.take_money")
def take_money(replies: dict[str, Any], *, order: str, amount: int) -> dict[str, Any]:
    payment = uuid4()
    execute(TAKE_MONEY, [payment], [order], [amount])
    return replies | {"payment": str(payment)}


@app.task(name="three.inventory.take_goods")
def take_goods(replies: dict[str, Any], *, order: str, sku: str, quantity: int) -> dict[str, Any]:
    with transaction.atomic():
        execute(MOVE_STOCK, [sku], [-quantity])
        execute(NOTE_TAKEN, [order], [sku], [quantity])
    return replies


@app.task(name="three.shipment.send_parcel")
def send_parcel(replies: dict[str, Any], *, order: str, address: str) -> dict[str, Any]:
    shipment = uuid4()
    execute(SEND_PARCELS, [shipment], [order], [address])
    return replies | {"shipment": str(shipment)}


@app.task(name="three.order.confirm")
def confirm(replies: dict[str, Any], *, order: str) -> None:
    execute(END_ORDERS, "confirmed", [order])
