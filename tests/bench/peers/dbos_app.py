"""The DBOS workflow of the three steps and the configuration of DBOS. It runs in the environment of the peers."""

from __future__ import annotations

import os

from dbos import DBOS, DBOSConfig

from tests.bench.three import steps

QUEUE = "orders"
WORKFLOW = "place_order"
# Workflows that a worker carries out at the same time, and the time between two requests for more.
CONCURRENCY = 10
POLLING_SECONDS = 0.1


def read_system_database_url() -> str:
    """Return the order service's own database: one transaction writes an order and its workflow."""
    return os.environ["ORDER_DATABASE_URL"].replace("postgres://", "postgresql://", 1)


def make_configuration(executor: str) -> DBOSConfig:
    """Return the settings of the process `executor`; its pool is as large as its concurrency needs."""
    return {
        "name": "orders",
        "system_database_url": read_system_database_url(),
        "sys_db_pool_size": CONCURRENCY + 2,
        "executor_id": executor,
        "application_version": "1",
        "log_level": "WARNING",
    }


take_money = DBOS.step()(steps.take_money)
take_goods = DBOS.step()(steps.take_goods)
send_parcel = DBOS.step()(steps.send_parcel)
confirm_order = DBOS.step()(steps.confirm_order)


@DBOS.workflow(name=WORKFLOW)
def place_order(order: str, amount: int, sku: str, quantity: int, address: str) -> None:
    take_money(order, amount)
    take_goods(order, sku, quantity)
    send_parcel(order, address)
    confirm_order(order)
