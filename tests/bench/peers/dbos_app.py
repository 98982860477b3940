"""The three steps as a DBOS workflow, and how DBOS is configured; runs in the peers' environment."""

from __future__ import annotations

import os

from dbos import DBOS, DBOSConfig

from tests.bench.peers import steps

QUEUE = "orders"
WORKFLOW = "place_order"
# Of a worker: workflows at a time, and how often it asks for more.
CONCURRENCY = 10
POLLING_SECONDS = 0.1


def system_database_url() -> str:
    """The order service's own database, so that an order and its workflow are written in one transaction."""
    return os.environ["ORDER_DATABASE_URL"].replace("postgres://", "postgresql://", 1)


def configuration(executor: str) -> DBOSConfig:
    """Of the process called `executor`; pools are as large as its concurrency asks for."""
    return {
        "name": "orders",
        "system_database_url": system_database_url(),
        "sys_db_pool_size": CONCURRENCY + 2,
        "executor_id": executor,
        "application_version": "1",
        "log_level": "WARNING",
    }


take_money = DBOS.step()(steps.take_money)
take_goods = DBOS.step()(steps.take_goods)
send_parcel = DBOS.step()(steps.send_parcel)
confirm = DBOS.step()(steps.confirm)


@DBOS.workflow(name=WORKFLOW)
def place_order(order: str, amount: int, sku: str, quantity: int, address: str) -> None:
    take_money(order, amount)
    take_goods(order, sku, quantity)
    send_parcel(order, address)
    confirm(order)
