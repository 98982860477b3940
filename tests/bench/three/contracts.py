"""The commands, replies and refusals of the three participants. Amounts are in cents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from celery_config.contracts.base import Command, Refusal, Reply


@dataclass(frozen=True, kw_only=True)
class MoneyTaken(Reply):
    service: ClassVar[str] = "payment"
    payment: UUID


@dataclass(frozen=True, kw_only=True)
class MoneyGivenBack(Reply):
    service: ClassVar[str] = "payment"
    order: UUID


@dataclass(frozen=True, kw_only=True)
class TakeMoney(Command):
    service: ClassVar[str] = "payment"
    done: ClassVar[type[Reply]] = MoneyTaken
    order: UUID
    amount: int


@dataclass(frozen=True, kw_only=True)
class GiveMoneyBack(Command):
    """Undoes `TakeMoney`."""

    service: ClassVar[str] = "payment"
    done: ClassVar[type[Reply]] = MoneyGivenBack
    order: UUID


@dataclass(frozen=True, kw_only=True)
class GoodsTaken(Reply):
    service: ClassVar[str] = "inventory"
    order: UUID


@dataclass(frozen=True, kw_only=True)
class GoodsRefused(Refusal):
    service: ClassVar[str] = "inventory"


@dataclass(frozen=True, kw_only=True)
class TakeGoods(Command):
    service: ClassVar[str] = "inventory"
    done: ClassVar[type[Reply]] = GoodsTaken
    refused: ClassVar[type[Refusal] | None] = GoodsRefused
    order: UUID
    sku: str
    quantity: int


@dataclass(frozen=True, kw_only=True)
class GoodsPutBack(Reply):
    service: ClassVar[str] = "inventory"
    order: UUID


@dataclass(frozen=True, kw_only=True)
class PutGoodsBack(Command):
    """Undoes `TakeGoods`."""

    service: ClassVar[str] = "inventory"
    done: ClassVar[type[Reply]] = GoodsPutBack
    order: UUID


@dataclass(frozen=True, kw_only=True)
class ParcelSent(Reply):
    service: ClassVar[str] = "shipment"
    shipment: UUID


@dataclass(frozen=True, kw_only=True)
class ParcelCalledBack(Reply):
    service: ClassVar[str] = "shipment"
    order: UUID


@dataclass(frozen=True, kw_only=True)
class SendParcel(Command):
    service: ClassVar[str] = "shipment"
    done: ClassVar[type[Reply]] = ParcelSent
    order: UUID
    address: str


@dataclass(frozen=True, kw_only=True)
class CallParcelBack(Command):
    """Undoes `SendParcel`."""

    service: ClassVar[str] = "shipment"
    done: ClassVar[type[Reply]] = ParcelCalledBack
    order: UUID
