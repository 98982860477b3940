"""Order requests and their results: the values that placing takes and returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from celery_config.common.identifiers import uuid7
from celery_config.contracts.shipment import Address
from celery_config.web.idempotency_keys import KeyGone, KeyReused
from order_project.domain import Flow, RequestLine
from order_project.errors import BadLines, OrderTooLarge, TooManyUnderWay, UnknownCustomer


@dataclass(frozen=True, kw_only=True)
class OrderRequest:
    """The order that a client asks for."""

    customer: UUID
    lines: tuple[RequestLine, ...]
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


PlacingResult = Placed | BadLines | OrderTooLarge | KeyReused | KeyGone | TooManyUnderWay | UnknownCustomer


@dataclass(frozen=True)
class OrderSubmission:
    """One request, its idempotency key if it has one, and the id that its order gets."""

    request: OrderRequest
    key: str = ""
    id: UUID = field(default_factory=uuid7)
