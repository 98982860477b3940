"""The commands, replies and refusals of the three participants. Amounts are in cents."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from celery_config.contracts.base import Command, Refusal, Reply


@dataclass(frozen=True, kw_only=True)
class MoneyTaken(Reply):
    service = "payment"
    payment: UUID


@dataclass(frozen=True, kw_only=True)
class MoneyGivenBack(Reply):
    service = "payment"
    order: UUID


@dataclass(frozen=True, kw_only=True)
class TakeMoney(Command):
    service = "payment"
    done = MoneyTaken
    order: UUID
    amount: int


@dataclass(frozen=True, kw_only=True)
class GiveMoneyBack(Command):
    """Undoes `TakeMoney`."""

    service = "payment"
    done = MoneyGivenBack
    order: UUID


@dataclass(frozen=True, kw_only=True)
class GoodsTaken(Reply):
    service = "inventory"
    order: UUID


@dataclass(frozen=True, kw_only=True)
class GoodsRefused(Refusal):
    service = "inventory"


@dataclass(frozen=True, kw_only=True)
class TakeGoods(Command):
    service = "inventory"
    done = GoodsTaken
    refused = GoodsRefused
    order: UUID
    sku: str
    quantity: int


@dataclass(frozen=True, kw_only=True)
class GoodsPutBack(Reply):
    service = "inventory"
    order: UUID


@dataclass(frozen=True, kw_only=True)
class PutGoodsBack(Command):
    """Undoes `TakeGoods`."""

    service = "inventory"
    done = GoodsPutBack
    order: UUID


@dataclass(frozen=True, kw_only=True)
class ParcelSent(Reply):
    service = "shipment"
    shipment: UUID


@dataclass(frozen=True, kw_only=True)
class ParcelCalledBack(Reply):
    service = "shipment"
    order: UUID


@dataclass(frozen=True, kw_only=True)
class SendParcel(Command):
    service = "shipment"
    done = ParcelSent
    order: UUID
    address: str


@dataclass(frozen=True, kw_only=True)
class CallParcelBack(Command):
    """Undoes `SendParcel`."""

    service = "shipment"
    done = ParcelCalledBack
    order: UUID
