"""Placing an order by DBOS: the order's row and its workflow in one transaction."""

from __future__ import annotations

import sqlalchemy
from dbos import DBOSClient, EnqueueOptions

from celery_config.common.identifiers import uuid7
from tests.bench.peers.dbos_app import QUEUE, WORKFLOW, system_database_url
from tests.bench.peers.placed import PlacedByPeer
from tests.bench.three.goods import Wanted
from tests.bench.three.sql import INSERT_ORDERS


class Dbos(PlacedByPeer):
    def __init__(self) -> None:
        super().__init__()
        url = system_database_url().replace("postgresql://", "postgresql+psycopg://", 1)
        self.engine = sqlalchemy.create_engine(url)
        self.client = DBOSClient(system_database_engine=self.engine)

    def place(self, wanted: Wanted) -> None:
        key = uuid7()
        options: EnqueueOptions = {"queue_name": QUEUE, "workflow_name": WORKFLOW, "workflow_id": str(key)}
        with self.engine.begin() as transaction:
            transaction.exec_driver_sql(INSERT_ORDERS, ([key], [wanted.amount]))
            self.client.enqueue_in_transaction(
                transaction, options, str(key), wanted.amount, wanted.sku, wanted.quantity, wanted.address
            )


def side() -> Dbos:
    return Dbos()
