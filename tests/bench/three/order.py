"""The saga of three steps: the order service writes the order with its saga, and writes how the saga ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection

from celery_config.common.codec import encode_strictly
from celery_config.common.identifiers import uuid7
from celery_config.db import bulk
from celery_config.db.bulk import Statement
from celery_config.saga.dsl import Saga, compensatable, minutes
from celery_config.saga.engine import starting
from tests.bench.three.contracts import (
    CallParcelBack,
    GiveMoneyBack,
    PutGoodsBack,
    SendParcel,
    TakeGoods,
    TakeMoney,
)
from tests.bench.three.goods import Purchase
from tests.bench.three.sql import END_ORDERS, INSERT_GIVEN


@dataclass(frozen=True, kw_only=True)
class OrderData:
    """`amount` is in cents."""

    order: UUID
    amount: int
    sku: str
    quantity: int
    address: str


def confirm_orders(completed: Sequence[tuple[OrderData, Any]]) -> None:
    end_orders("confirmed", completed)


def cancel_orders(compensated: Sequence[tuple[OrderData, Any]]) -> None:
    end_orders("cancelled", compensated)


def end_orders(status: str, ended: Sequence[tuple[OrderData, Any]]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(END_ORDERS, [status, [data.order for data, _ in ended]])


class ThreeSteps(Saga):
    """Take money, take goods, send a parcel; each can be undone."""

    name, version, deadline, data = "three-steps", 1, minutes(15), OrderData
    steps = [
        compensatable("payment", TakeMoney, undo=GiveMoneyBack),
        compensatable("inventory", TakeGoods, undo=PutGoodsBack),
        compensatable("shipment", SendParcel, undo=CallParcelBack),
    ]
    on_completed, on_compensated = confirm_orders, cancel_orders


def place_orders(purchases: Sequence[Purchase]) -> list[UUID]:
    """Write orders and their sagas in one transaction; return the ids of the orders."""
    data = [
        OrderData(order=uuid7(), amount=p.amount, sku=p.sku, quantity=p.quantity, address=p.address)
        for p in purchases
    ]
    orders = Statement(INSERT_GIVEN, encode_strictly([{"id": e.order, "amount": e.amount} for e in data]))
    bulk.execute_atomically(
        orders, *starting.prepare_starts(ThreeSteps, [(each.order, each) for each in data]).statements
    )
    return [each.order for each in data]
