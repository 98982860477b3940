"""The floor: the same rows by raw psycopg, one process, no broker and no guarantee. Nobody can be cheaper."""

from __future__ import annotations

import os
import threading
from uuid import uuid4

import psycopg

from celery_config.common.identifiers import uuid7
from celery_config.common.services import SERVICES
from tests.bench.three.goods import Wanted
from tests.bench.three.placed import PlacedThree
from tests.bench.three.sql import END_ORDERS, INSERT_ORDERS, MOVE_STOCK, NOTE_TAKEN, SEND_PARCELS, TAKE_MONEY


class Floor(PlacedThree):
    def __init__(self) -> None:
        super().__init__()
        self.local = threading.local()

    def database(self, service: str) -> psycopg.Connection:
        """This thread's connection to a service's database; it commits after each statement."""
        if not hasattr(self.local, service):
            url = os.environ[f"{service.upper()}_DATABASE_URL"]
            setattr(self.local, service, psycopg.connect(url, autocommit=True))
        found: psycopg.Connection = getattr(self.local, service)
        return found

    def place(self, wanted: Wanted) -> None:
        orders, money, stock, parcels = map(self.database, SERVICES)
        key = uuid7()
        orders.execute(INSERT_ORDERS, [[key], [wanted.amount]])
        money.execute(TAKE_MONEY, [[uuid4()], [key], [wanted.amount]])
        with stock.transaction():
            stock.execute(MOVE_STOCK, [[wanted.sku], [-wanted.quantity]])
            stock.execute(NOTE_TAKEN, [[key], [wanted.sku], [wanted.quantity]])
        parcels.execute(SEND_PARCELS, [[uuid4()], [key], [wanted.address]])
        orders.execute(END_ORDERS, ["confirmed", [key]])


def side() -> Floor:
    return Floor()
