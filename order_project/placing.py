"""Placing orders: any number at once, each with an outcome of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError

from celery_config.common.grouping import group_by
from celery_config.contracts.base import encode
from celery_config.contracts.order import OrderPlaced
from celery_config.db import bulk
from celery_config.db.bulk import Statement
from celery_config.errors import ChainTooLarge
from celery_config.saga.dsl import Saga
from celery_config.saga.engine import starting
from order_project import domain, idempotency, selectors
from order_project.choreography import announcing
from order_project.domain import CatalogueEntry, Flow, Priced
from order_project.errors import BadLines, OrderTooLarge, UnknownCustomer
from order_project.models import Customer, Order, OrderLine
from order_project.requests import OrderRequest, OrderSubmission, Outcome, Placed

ORDER = (
    "id", "customer", "status", "currency", "total", "weight_grams", "address", "saga", "tracking_number",
    "cancel_code", "cancel_reason", "reference",
)  # fmt: skip
LINE = ("order", "sku", "name", "quantity", "unit_price")


@dataclass(frozen=True)
class Draft:
    """An order that may be placed, and what its saga is to know, or is announced of it."""

    asked: OrderSubmission
    lines: list[Priced]
    data: Any


def place_order(*, client: str, request: OrderRequest, idempotency_key: str | None = None) -> Placed:
    """Place one order.

    Args:
        client: whose idempotency key it is.

    Raises:
        BadLines, OrderTooLarge, KeyReused, SagaPaused: nothing was written.
    """
    (outcome,) = place_orders(client=client, asked=[OrderSubmission(request, idempotency_key or "")])
    if not isinstance(outcome, Placed):
        raise outcome
    return outcome


def place_orders(*, client: str, asked: Sequence[OrderSubmission]) -> list[Outcome]:
    """Write orders and, for each, its saga and one outbox row that holds its whole chain, or its announcement.

    Args:
        client: whose idempotency keys they are.

    Returns:
        What became of each, in their order. One that was refused has left nothing behind, its key included.

    Raises:
        SagaPaused: nothing was written.
    """
    repeats = idempotency.repeats(asked)
    drafts = write_drafts(client, asked, set(repeats))
    placed = {each.id for each in drafts.placed}
    # What may not be ordered now may have been ordered under its key before.
    earlier = idempotency.answers(client, [each for each in asked if each.id not in placed])

    def outcome(each: OrderSubmission) -> Outcome:
        answer = repeats.get(each.id) or Placed(each.id, repeated=False)
        return drafts.refused.get(answer.order, answer) if isinstance(answer, Placed) else answer

    return [earlier.get(each.id) or outcome(each) for each in asked]


def write_drafts(
    client: str, asked: Sequence[OrderSubmission], known: set[UUID], gone: frozenset[UUID] = frozenset()
) -> Drafts:
    """Place all but those that are `known` to be repeats with one statement, their keys included.

    Args:
        gone: customers who are not there any more.
    """
    drafts = draft_orders([each for each in asked if each.id not in known], gone)
    try:
        bulk.execute_atomically(*idempotency.inserted(client, drafts.placed), *drafts.changes)
    except IntegrityError:
        # Nothing was written. A key that is taken stands for an order by now: a twin waits until the first is through.
        # A customer who is missing was forgotten meanwhile: whoever forgets them is waited for, too.
        found, missing = idempotency.answers(client, asked).keys(), missing_customers(asked)
        if found <= known and missing <= gone:
            raise
        return write_drafts(client, asked, known | found, gone | missing)
    return drafts


def missing_customers(asked: Sequence[OrderSubmission]) -> frozenset[UUID]:
    """The customers who are not there."""
    wanted = {each.request.customer for each in asked}
    return frozenset(wanted.difference(Customer.objects.filter(pk__in=wanted).values_list("pk", flat=True)))


@dataclass(frozen=True)
class Drafts:
    """Orders that may be placed, and what writes them; and why the others may not, by their ids."""

    placed: list[OrderSubmission]
    changes: list[Statement]
    refused: dict[UUID, Outcome]


def draft_orders(asked: Sequence[OrderSubmission], gone: frozenset[UUID] = frozenset()) -> Drafts:
    """
    Raises:
        SagaPaused: none can be placed.
    """
    catalogue = selectors.catalogue({line.sku for each in asked for line in each.request.lines})
    saga = current_flow()
    drafts: list[Draft] = []
    refused: dict[UUID, Outcome] = {}
    for each in asked:
        if each.request.customer in gone:
            refused[each.id] = UnknownCustomer()
            continue
        try:
            drafts.append(draft_order(saga, each, catalogue))
        except BadLines as error:
            refused[each.id] = error
    flows = group_by(lambda draft: draft.asked.request.flow, drafts)
    placed, changes = choreographed(saga, flows.get(Flow.CHOREOGRAPHED, []))
    # Asked even if all of its drafts were bad: a pause comes first.
    if (orchestrated := flows.get(Flow.ORCHESTRATED, [])) or not placed:
        started = starting.start_all(saga, [(draft.asked.id, draft.data) for draft in orchestrated])
        changes += started.changes
        for draft, saga_id in zip(orchestrated, started.outcomes, strict=True):
            if isinstance(saga_id, ChainTooLarge):
                refused[draft.asked.id] = OrderTooLarge()
            else:
                placed.append((draft, saga_id))
    return Drafts([draft.asked for draft, _ in placed], [*changes, *orders(placed)], refused)


def choreographed(
    saga: type[Saga], drafts: Sequence[Draft]
) -> tuple[list[tuple[Draft, UUID | None]], list[Statement]]:
    """The drafts, which have no saga, and what announces them; the saga's deadline and pauses are theirs, too.

    Raises:
        SagaPaused: none can be placed.
    """
    if not drafts:
        return [], []
    now = starting.time_unless_paused(saga)
    placed = [draft.data for draft in drafts]
    return [(draft, None) for draft in drafts], announcing.begin(now, saga.deadline, placed)


def draft_order(saga: type[Saga], asked: OrderSubmission, catalogue: Mapping[str, CatalogueEntry]) -> Draft:
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


def orders(placed: Sequence[tuple[Draft, UUID | None]]) -> list[Statement]:
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
    return [*bulk.insert_statement(Order, made, ORDER), *bulk.insert_statement(OrderLine, lines, LINE)]


def current_flow() -> type[Saga]:
    """The version of the flow that new orders take; running ones finish on theirs."""
    return Saga.registry["place-order", settings.PLACE_ORDER_VERSION]
