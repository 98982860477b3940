"""The three steps by DBOS: the order and its workflow are written in one transaction."""

from __future__ import annotations

import sqlalchemy
from dbos import DBOSClient, EnqueueOptions

from celery_config.common.identifiers import uuid7
from tests.bench.peers.dbos_app import QUEUE, WORKFLOW, read_system_database_url
from tests.bench.peers.side import PeerSide
from tests.bench.three.goods import Purchase
from tests.bench.three.sql import INSERT_ORDERS


class Dbos(PeerSide):
    def __init__(self) -> None:
        super().__init__()
        url = read_system_database_url().replace("postgresql://", "postgresql+psycopg://", 1)
        self.engine = sqlalchemy.create_engine(url)
        self.client = DBOSClient(system_database_engine=self.engine)

    def place(self, request: Purchase) -> None:
        key = uuid7()
        options: EnqueueOptions = {"queue_name": QUEUE, "workflow_name": WORKFLOW, "workflow_id": str(key)}
        with self.engine.begin() as transaction:
            transaction.exec_driver_sql(INSERT_ORDERS, ([key], [request.amount]))
            self.client.enqueue_in_transaction(
                transaction, options, str(key), request.amount, request.sku, request.quantity, request.address
            )


def make_side() -> Dbos:
    return Dbos()
