"""What clients ask for, and what becomes of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from celery_config.common.identifiers import uuid7
from celery_config.contracts.inventory import Line
from celery_config.contracts.shipment import Address
from order_project.domain import Flow
from order_project.errors import BadLines, KeyReused, OrderTooLarge, UnknownCustomer


@dataclass(frozen=True, kw_only=True)
class OrderRequest:
    """What a client asks for."""

    customer: UUID
    lines: tuple[Line, ...]
    currency: str
    payment_token: str
    address: Address
    reference: str = ""
    flow: Flow = Flow.ORCHESTRATED


@dataclass(frozen=True)
class Placed:
    order: UUID
    repeated: bool
    """Whether this answers an earlier request with the same idempotency key."""


PlacingResult = Placed | BadLines | OrderTooLarge | KeyReused | UnknownCustomer


@dataclass(frozen=True)
class OrderSubmission:
    """One request and its order's id; what comes again with the same key is answered with the first one's order."""

    request: OrderRequest
    key: str = ""
    id: UUID = field(default_factory=uuid7)
