"""What the order service announces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from celery_config.messages import Event


@dataclass(frozen=True, kw_only=True)
class OrderConfirmed(Event):
    """Every step of the order is done."""

    service: ClassVar[str] = "order"
    order: UUID


@dataclass(frozen=True, kw_only=True)
class OrderCancelled(Event):
    """Nothing of the order is left done; `code` says why."""

    service: ClassVar[str] = "order"
    order: UUID
    code: str
    reason: str
