"""Placing orders: any number in one transaction, each with an outcome of its own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction

from celery_config import rows
from celery_config.contracts.inventory import Line
from celery_config.contracts.order import OrderPlaced
from celery_config.contracts.shipment import Address
from celery_config.errors import ChainTooLarge
from celery_config.groups import by
from celery_config.ids import uuid7
from celery_config.messages import encode
from celery_config.rows import Change
from celery_config.saga import starting
from celery_config.saga.dsl import Saga
from order_project import choreography, domain, selectors
from order_project.domain import CatalogueEntry, Flow, Priced
from order_project.errors import BadLines, KeyReused, OrderTooLarge
from order_project.models import IdempotencyKey, Order, OrderLine

ORDER = (
    "id", "customer", "status", "currency", "total", "weight_grams", "address", "saga", "tracking_number",
    "cancel_code", "cancel_reason", "reference",
)  # fmt: skip
LINE = ("order", "sku", "name", "quantity", "unit_price")


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


Outcome = Placed | BadLines | OrderTooLarge | KeyReused


@dataclass(frozen=True)
class Asked:
    """One request and its order's id; what comes again with the same key is answered with the first one's order."""

    request: OrderRequest
    key: str = ""
    id: UUID = field(default_factory=uuid7)


@dataclass(frozen=True)
class Draft:
    """An order that may be placed, and what its saga is to know, or is announced of it."""

    asked: Asked
    lines: list[Priced]
    data: Any

    @property
    def flow(self) -> Flow:
        return self.asked.request.flow


def place_order(*, client: str, request: OrderRequest, idempotency_key: str | None = None) -> Placed:
    """Place one order.

    Args:
        client: whose idempotency key it is.

    Raises:
        BadLines, OrderTooLarge, KeyReused, SagaPaused: nothing was written.
    """
    (outcome,) = place_orders(client=client, asked=[Asked(request, idempotency_key or "")])
    if not isinstance(outcome, Placed):
        raise outcome
    return outcome


@transaction.atomic
def place_orders(*, client: str, asked: Sequence[Asked]) -> list[Outcome]:
    """Write orders and, for each, its saga and one outbox row that holds its whole chain, or its announcement.

    Args:
        client: whose idempotency keys they are.

    Returns:
        What became of each, in their order. One that was refused has left nothing behind, its key included.

    Raises:
        SagaPaused: nothing was written.
    """
    outcomes: dict[UUID, Outcome] = claim_keys(client, asked)
    new = [each for each in asked if each.id not in outcomes]
    catalogue = selectors.catalogue({line.sku for each in new for line in each.request.lines})
    saga = current_flow()
    drafts: list[Draft] = []
    for each in new:
        try:
            drafts.append(drafted(saga, each, catalogue))
        except BadLines as error:
            outcomes[each.id] = error
    flows = by(lambda draft: draft.flow, drafts)
    placed, changes = choreographed(saga, flows.get(Flow.CHOREOGRAPHED, []))
    # Asked even if all of its drafts were bad: a pause comes first.
    if flows.get(Flow.ORCHESTRATED) or not placed:
        orchestrated = flows.get(Flow.ORCHESTRATED, [])
        started = starting.start_all(saga, [(draft.asked.id, draft.data) for draft in orchestrated])
        changes += started.changes
        for draft, saga_id in zip(orchestrated, started.outcomes, strict=True):
            if isinstance(saga_id, ChainTooLarge):
                outcomes[draft.asked.id] = OrderTooLarge()
            else:
                placed.append((draft, saga_id))
    outcomes |= {draft.asked.id: Placed(draft.asked.id, repeated=False) for draft, _ in placed}
    rows.write(*changes, *orders(placed))
    refused = {each.id: o for each in new if not isinstance(o := outcomes[each.id], Placed)}
    give_back_keys(client, [each.key for each in new if each.id in refused and each.key])
    # A repeat within the same batch was answered before it was known that the first would be refused.
    answers = [outcomes[each.id] for each in asked]
    return [refused.get(answer.order, answer) if isinstance(answer, Placed) else answer for answer in answers]


def choreographed(
    saga: type[Saga], drafts: Sequence[Draft]
) -> tuple[list[tuple[Draft, UUID | None]], list[Change]]:
    """The drafts, which have no saga, and what announces them; the saga's deadline and pauses are theirs, too.

    Raises:
        SagaPaused: none can be placed.
    """
    if not drafts:
        return [], []
    now = starting.time_unless_paused(saga)
    announced = [draft.data for draft in drafts if isinstance(draft.data, OrderPlaced)]
    return [(draft, None) for draft in drafts], choreography.begin(now, saga.deadline, announced)


def drafted(saga: type[Saga], asked: Asked, catalogue: Mapping[str, CatalogueEntry]) -> Draft:
    """
    Raises:
        BadLines: it may not be ordered so.
    """
    request, lines = asked.request, domain.merge_lines(asked.request.lines)
    if faults := domain.faults_of(lines, catalogue, request.currency):
        raise BadLines(faults)
    priced = domain.price(lines, catalogue)
    weight = domain.weight(priced)
    kind = OrderPlaced if request.flow is Flow.CHOREOGRAPHED else saga.data
    data = kind(
        order=asked.id,
        customer=request.customer,
        amount=domain.total(priced),
        currency=request.currency,
        payment_token=request.payment_token,
        lines=tuple(lines),
        address=request.address,
        weight_grams=weight,
        parcels=domain.parcels(weight),
    )
    return Draft(asked, priced, data)


def orders(placed: Sequence[tuple[Draft, UUID | None]]) -> list[Change]:
    """What writes the orders' own rows."""
    made = [
        Order(
            id=draft.asked.id,
            customer_id=draft.data.customer,
            currency=draft.data.currency,
            total=draft.data.amount,
            weight_grams=draft.data.weight_grams,
            address=encode(draft.data.address),
            saga=saga,
            reference=draft.asked.request.reference,
        )
        for draft, saga in placed
    ]
    lines = [
        OrderLine(
            order_id=draft.asked.id, sku=p.sku, name=p.name, quantity=p.quantity, unit_price=p.unit_price
        )
        for draft, _ in placed
        for p in draft.lines
    ]
    return [*rows.inserted(Order, made, ORDER), *rows.inserted(OrderLine, lines, LINE)]


def current_flow() -> type[Saga]:
    """The version of the flow that new orders take; running ones finish on theirs."""
    return Saga.registry["place-order", settings.PLACE_ORDER_VERSION]


def claim_keys(client: str, asked: Sequence[Asked]) -> dict[UUID, Outcome]:
    """Take the keys for these orders; return the answers of those whose key stands for an order already.

    A twin waits here. Keys are taken in one order, so that two batches never wait for each other in a circle.
    """
    first = {each.key: each for each in reversed(asked) if each.key}
    if not first:
        return {}
    table = connection.ops.quote_name(IdempotencyKey._meta.db_table)
    values = [
        value
        for key in sorted(first)
        for value in (client, key, digest(first[key].request), json.dumps({"order": str(first[key].id)}))
    ]
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} (client, key, request_hash, response)"
            f" VALUES {', '.join(['(%s, %s, %s, %s)'] * len(first))} ON CONFLICT DO NOTHING RETURNING key",
            values,
        )
        ours = {first[key].id for (key,) in cursor.fetchall()}
    others = [each for each in asked if each.key and each.id not in ours]
    if not others:
        return {}
    earlier = {row.key: row for row in IdempotencyKey.objects.filter(client=client, key__in=first)}
    return {each.id: answer_of(earlier[each.key], each.request) for each in others}


def answer_of(earlier: IdempotencyKey, request: OrderRequest) -> Outcome:
    if earlier.request_hash != digest(request):
        return KeyReused()
    return Placed(UUID(earlier.response["order"]), repeated=True)


def digest(request: OrderRequest) -> str:
    """What a key stands for: SHA-256 (hex) of the request."""
    asked = encode(request)
    if request.flow is Flow.ORCHESTRATED:
        del asked["flow"]  # as before there were others: keys live longer than releases
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def give_back_keys(client: str, keys: Sequence[str]) -> None:
    """A refused request may come again, with the same key, and be accepted."""
    if keys:
        IdempotencyKey.objects.filter(client=client, key__in=keys).delete()
