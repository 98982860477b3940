"""What the peers' durable steps do: the same statements as everybody's, on connections that each thread keeps."""

from __future__ import annotations

import os
import threading
from uuid import UUID, uuid4

import psycopg

from tests.bench.three.sql import END_ORDERS, INSERT_ORDERS, MOVE_STOCK, NOTE_TAKEN, SEND_PARCELS, TAKE_MONEY

_local = threading.local()


def database(service: str) -> psycopg.Connection:
    """This thread's connection to a service's database; it commits after each statement."""
    found: psycopg.Connection | None = getattr(_local, service, None)
    if found is None:
        found = psycopg.connect(os.environ[f"{service.upper()}_DATABASE_URL"], autocommit=True)
        setattr(_local, service, found)
    return found


def insert_order(order: str, amount: int) -> None:
    database("order").execute(INSERT_ORDERS, [[UUID(order)], [amount]])


def take_money(order: str, amount: int) -> str:
    payment = uuid4()
    database("payment").execute(TAKE_MONEY, [[payment], [UUID(order)], [amount]])
    return str(payment)


def take_goods(order: str, sku: str, quantity: int) -> None:
    stock = database("inventory")
    with stock.transaction():
        stock.execute(MOVE_STOCK, [[sku], [-quantity]])
        stock.execute(NOTE_TAKEN, [[UUID(order)], [sku], [quantity]])


def send_parcel(order: str, address: str) -> str:
    shipment = uuid4()
    database("shipment").execute(SEND_PARCELS, [[shipment], [UUID(order)], [address]])
    return str(shipment)


def confirm(order: str) -> None:
    database("order").execute(END_ORDERS, ["confirmed", [UUID(order)]])
