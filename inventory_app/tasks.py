"""Inventory's commands."""

from __future__ import annotations

from celery_config.contracts.inventory import (
    CommitStock,
    ReleaseStock,
    ReserveStock,
    StockCommitted,
    StockReserved,
)
from celery_config.participant import handles, register_fence
from inventory_app import services

register_fence("inventory")


@handles(ReserveStock)
def reserve_stock(command: ReserveStock) -> StockReserved:
    return StockReserved(reservation=services.reserve_stock(order=command.order, lines=command.lines))


@handles(ReleaseStock)
def release_stock(command: ReleaseStock) -> None:
    services.release_stock(order=command.order)


@handles(CommitStock)
def commit_stock(command: CommitStock) -> StockCommitted:
    return StockCommitted(reservation=services.commit_stock(order=command.order))
