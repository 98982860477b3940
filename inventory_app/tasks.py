"""The handlers of inventory's commands; their effects are in inventory's own database."""

from __future__ import annotations

from collections.abc import Sequence

from celery_config.contracts.inventory import (
    BuyerForgotten,
    CommitStock,
    ForgetBuyer,
    ReleaseStock,
    ReserveStock,
    StockCommitted,
    StockReserved,
)
from celery_config.errors import Refused
from celery_config.participant.choreography import register_subscriptions
from celery_config.participant.handlers import handles, handles_one
from inventory_app import services
from inventory_app.erasure import DATA_MAP
from inventory_app.subscriptions import SUBSCRIPTIONS

register_subscriptions(SUBSCRIPTIONS)


@handles(ReserveStock)
def reserve_stock(commands: Sequence[ReserveStock]) -> list[StockReserved | Refused]:
    outcomes = services.reserve_stock({command.order: command.lines for command in commands})
    return [
        outcome
        if isinstance(outcome := outcomes[command.order], Refused)
        else StockReserved(reservation=outcome)
        for command in commands
    ]


@handles(ReleaseStock)
def release_stock(commands: Sequence[ReleaseStock]) -> list[None]:
    services.release_stock([command.order for command in commands])
    return [None for _ in commands]


@handles(CommitStock)
def commit_stock(commands: Sequence[CommitStock]) -> list[StockCommitted]:
    reservations = services.commit_stock([command.order for command in commands])
    return [StockCommitted(reservation=reservations[command.order]) for command in commands]


@handles_one(ForgetBuyer)
def forget_buyer(command: ForgetBuyer) -> BuyerForgotten:
    receipt = DATA_MAP.erase(command.customer, command.about)
    return BuyerForgotten(erasure=command.erasure, rows=receipt.counts, at=receipt.at)
