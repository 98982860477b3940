"""What the peers' durable steps do: the same statements as everybody's, on connections that are kept."""

from __future__ import annotations

import os
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID, uuid4

import psycopg

from tests.bench.three.sql import END_ORDERS, INSERT_ORDERS, MOVE_STOCK, NOTE_TAKEN, SEND_PARCELS, TAKE_MONEY

_kept: defaultdict[str, deque[psycopg.Connection]] = defaultdict(deque)


@contextmanager
def database(service: str) -> Iterator[psycopg.Connection]:
    """A connection to a service's database, which commits after each statement; as many are kept as work at once."""
    try:
        connection = _kept[service].pop()
    except IndexError:
        connection = psycopg.connect(os.environ[f"{service.upper()}_DATABASE_URL"], autocommit=True)
    yield connection
    _kept[service].append(connection)


def insert_order(order: str, amount: int) -> None:
    with database("order") as orders:
        orders.execute(INSERT_ORDERS, [[UUID(order)], [amount]])


def take_money(order: str, amount: int) -> str:
    payment = uuid4()
    with database("payment") as money:
        money.execute(TAKE_MONEY, [[payment], [UUID(order)], [amount]])
    return str(payment)


def take_goods(order: str, sku: str, quantity: int) -> None:
    with database("inventory") as stock, stock.transaction():
        stock.execute(MOVE_STOCK, [[sku], [-quantity]])
        stock.execute(NOTE_TAKEN, [[UUID(order)], [sku], [quantity]])


def send_parcel(order: str, address: str) -> str:
    shipment = uuid4()
    with database("shipment") as parcels:
        parcels.execute(SEND_PARCELS, [[shipment], [UUID(order)], [address]])
    return str(shipment)


def confirm(order: str) -> None:
    with database("order") as orders:
        orders.execute(END_ORDERS, ["confirmed", [UUID(order)]])
