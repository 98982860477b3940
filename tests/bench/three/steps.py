"""The steps by raw psycopg, for the floor and the peers: the statements of every side, on kept connections."""

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
def lend_connection(service: str) -> Iterator[psycopg.Connection]:
    """Lend a connection that commits after each statement; it is kept for the next caller.

    There are as many as callers at the same time.
    """
    try:
        connection = _kept[service].pop()
    except IndexError:
        connection = psycopg.connect(os.environ[f"{service.upper()}_DATABASE_URL"], autocommit=True)
    yield connection
    _kept[service].append(connection)


def insert_order(order: str, amount: int) -> None:
    with lend_connection("order") as orders:
        orders.execute(INSERT_ORDERS, [[UUID(order)], [amount]])


def take_money(order: str, amount: int) -> str:
    payment = uuid4()
    with lend_connection("payment") as money:
        money.execute(TAKE_MONEY, [[payment], [UUID(order)], [amount]])
    return str(payment)


def take_goods(order: str, sku: str, quantity: int) -> None:
    with lend_connection("inventory") as stock, stock.transaction():
        stock.execute(MOVE_STOCK, [[sku], [-quantity]])
        stock.execute(NOTE_TAKEN, [[UUID(order)], [sku], [quantity]])


def send_parcel(order: str, address: str) -> str:
    shipment = uuid4()
    with lend_connection("shipment") as parcels:
        parcels.execute(SEND_PARCELS, [[shipment], [UUID(order)], [address]])
    return str(shipment)


def confirm_order(order: str) -> None:
    with lend_connection("order") as orders:
        orders.execute(END_ORDERS, ["confirmed", [UUID(order)]])
