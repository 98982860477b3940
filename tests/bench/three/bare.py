"""The three steps as a bare Celery chain: the same rows, one transaction for each step, and no guarantee."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from celery import chain
from django.db import connection, transaction

from celery_config.common.identifiers import uuid7
from tests.bench.bare.app import app, make_link
from tests.bench.three.goods import Purchase
from tests.bench.three.side import ThreeStepsSide
from tests.bench.three.sql import END_ORDERS, INSERT_ORDERS, MOVE_STOCK, NOTE_TAKEN, SEND_PARCELS, TAKE_MONEY


class Bare(ThreeStepsSide):
    def place(self, request: Purchase) -> None:
        key = uuid7()
        execute(INSERT_ORDERS, [key], [request.amount])
        ids = {"order": str(key)}
        chain(
            make_link("three.payment.take_money", **ids, amount=request.amount),
            make_link("three.inventory.take_goods", **ids, sku=request.sku, quantity=request.quantity),
            make_link("three.shipment.send_parcel", **ids, address=request.address),
            make_link("three.order.confirm", **ids),
        ).apply_async(({},))


def make_side() -> Bare:
    return Bare()


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
def confirm_order(replies: dict[str, Any], *, order: str) -> None:
    execute(END_ORDERS, "confirmed", [order])
