"""Placing orders: each is written whole or refused whole, with its saga and first message. Any number at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import IntegrityError

from celery_config.common.grouping import group_by
from celery_config.contracts.base import encode
from celery_config.contracts.order import OrderPlaced
from celery_config.db import bulk
from celery_config.db.bulk import Statement
from celery_config.errors import ChainTooLarge
from celery_config.messaging.idempotency import report_in_flight
from celery_config.saga.dsl import Saga
from celery_config.saga.engine import starting
from order_project import domain, idempotency, selectors
from order_project.choreography import announcing
from order_project.domain import CatalogueEntry, Flow, Priced
from order_project.errors import BadLines, OrderTooLarge, TooManyUnderWay, UnknownCustomer
from order_project.models import Customer, Order, OrderLine
from order_project.requests import OrderRequest, OrderSubmission, Placed, PlacingResult

log = structlog.get_logger(__name__)
ORDER = (
    "id", "customer", "status", "currency", "total", "weight_grams", "address", "saga", "tracking_number",
    "cancel_code", "cancel_reason", "reference",
)  # fmt: skip
LINE = ("order", "sku", "name", "quantity", "unit_price", "price_source")


@dataclass(frozen=True)
class Draft:
    """An order that may be placed: its priced lines, and what its saga starts with or its announcement says."""

    submission: OrderSubmission
    lines: list[Priced]
    data: Any


@dataclass(frozen=True)
class Drafts:
    """Submissions sorted: those that may be placed, with the statements that write them, and refusals by order id."""

    accepted: list[OrderSubmission]
    sagas: list[UUID | None]
    """Those of the accepted ones, in their order; a choreographed order has none."""
    statements: list[Statement]
    refused: dict[UUID, PlacingResult]


def place_order(
    *, client: str, request: OrderRequest, idempotency_key: str | None = None, room: int | None = None
) -> Placed:
    """Place one order.

    Args:
        client: owns the idempotency key.
        room: see `place_orders`.

    Raises:
        BadLines, OrderTooLarge, KeyReused, KeyGone, KeyInFlight, SagaPaused, TooManyUnderWay, UnknownCustomer: nothing
            was written.
    """
    submission = OrderSubmission(request, idempotency_key or "")
    (result,) = place_orders(client=client, submissions=[submission], room=room)
    if not isinstance(result, Placed):
        raise result
    return result


def place_orders(
    *, client: str, submissions: Sequence[OrderSubmission], room: int | None = None
) -> list[PlacingResult]:
    """Write orders, each with its saga and the outbox row of its whole chain, or with its announcement.

    Args:
        client: owns the idempotency keys.
        room: how many new orders it may have besides those under way; None: any number.

    Returns:
        The result of each submission, in their order. A refused one leaves nothing behind, its key included.

    Raises:
        SagaPaused, KeyInFlight: nothing was written.
    """
    repeats = idempotency.find_repeats(submissions)
    new = [each for each in submissions if each.id not in repeats]
    drafts = write_drafts(client, new[:room])
    drafts.refused.update({each.id: TooManyUnderWay() for each in new[room:] if room is not None})
    accepted = {each.id for each in drafts.accepted}
    # A submission that is refused today may repeat one that was placed under its key before.
    earlier = idempotency.read_answers(client, [each for each in submissions if each.id not in accepted])

    def result(submission: OrderSubmission) -> PlacingResult:
        answer = repeats.get(submission.id) or Placed(submission.id, repeated=False)
        return drafts.refused.get(answer.order, answer) if isinstance(answer, Placed) else answer

    return [earlier.get(each.id) or result(each) for each in submissions]


def write_drafts(client: str, submissions: Sequence[OrderSubmission]) -> Drafts:
    """Commit all submissions that may be placed, with their keys, by one statement.

    The statement fails as a whole when a key is taken or a customer is gone. Then nothing was written, the cause is
    read, and the rest is tried again; each round knows one cause more.

    Raises:
        IntegrityError: the statement failed for a cause that is neither.
        KeyInFlight: another request with one of the keys did not end in time.
    """
    taken: set[UUID] = set()
    gone: frozenset[UUID] = frozenset()
    while True:
        drafts = draft_orders([each for each in submissions if each.id not in taken], gone)
        try:
            claims = idempotency.claim_statements(client, drafts.accepted)
            with report_in_flight():
                bulk.execute_atomically(*claims, *drafts.statements)
            log_accepted(client, drafts)
            return drafts
        except IntegrityError:
            # The statement waited for the transaction that holds the key or erases the customer, so both are visible.
            found, missing = (
                idempotency.read_answers(client, submissions).keys(),
                missing_customers(submissions),
            )
            if found <= taken and missing <= gone:
                raise
            taken, gone = taken | found, gone | missing


def log_accepted(client: str, drafts: Drafts) -> None:
    """Write a line for each order. By it the request that placed an order is found, and what became of a request."""
    for submission, saga in zip(drafts.accepted, drafts.sagas, strict=True):
        # The events of a choreographed order have its id as their saga, too.
        ids = {"order": str(submission.id), "saga": str(saga or submission.id)}
        log.info("order accepted", client=client, flow=submission.request.flow.value, **ids)


def missing_customers(submissions: Sequence[OrderSubmission]) -> frozenset[UUID]:
    """Return the customers of these submissions that do not exist."""
    wanted = {each.request.customer for each in submissions}
    return frozenset(wanted.difference(Customer.objects.filter(pk__in=wanted).values_list("pk", flat=True)))


def draft_orders(submissions: Sequence[OrderSubmission], gone: frozenset[UUID] = frozenset()) -> Drafts:
    """Price the submissions and prepare what writes them; nothing is written yet.

    Args:
        gone: customers that do not exist any more.

    Raises:
        SagaPaused: an operator holds up new orders.
    """
    catalogue = selectors.read_catalogue({line.sku for each in submissions for line in each.request.lines})
    saga = current_flow()
    drafts: list[Draft] = []
    refused: dict[UUID, PlacingResult] = {}
    for each in submissions:
        if each.request.customer in gone:
            refused[each.id] = UnknownCustomer()
            continue
        try:
            drafts.append(draft_order(saga, each, catalogue))
        except BadLines as error:
            refused[each.id] = error
    by_flow = group_by(lambda draft: draft.submission.request.flow, drafts)
    placed, statements = announce_drafts(saga, by_flow.get(Flow.CHOREOGRAPHED, []))
    # Asked even if every draft was bad: a pause comes before any other refusal.
    if (orchestrated := by_flow.get(Flow.ORCHESTRATED, [])) or not placed:
        started = starting.prepare_starts(saga, [(draft.submission.id, draft.data) for draft in orchestrated])
        statements += started.statements
        for draft, saga_id in zip(orchestrated, started.outcomes, strict=True):
            if isinstance(saga_id, ChainTooLarge):
                refused[draft.submission.id] = OrderTooLarge()
            else:
                placed.append((draft, saga_id))
    accepted = [draft.submission for draft, _ in placed]
    sagas = [saga for _, saga in placed]
    return Drafts(accepted, sagas, [*statements, *order_statements(placed)], refused)


def announce_drafts(
    saga: type[Saga], drafts: Sequence[Draft]
) -> tuple[list[tuple[Draft, UUID | None]], list[Statement]]:
    """Return the drafts, without a saga each, and the statements that announce them.

    Args:
        saga: its deadline and its pauses hold for choreographed orders, too.

    Raises:
        SagaPaused: an operator holds up new orders.
    """
    if not drafts:
        return [], []
    now = starting.read_time_unless_paused(saga)
    placed = [draft.data for draft in drafts]
    return [(draft, None) for draft in drafts], announcing.prepare_announcements(now, saga.deadline, placed)


def draft_order(
    saga: type[Saga], submission: OrderSubmission, catalogue: Mapping[str, CatalogueEntry]
) -> Draft:
    """Price one submission.

    Raises:
        BadLines: a line cannot be ordered, or all lines together cannot.
    """
    request, lines = submission.request, domain.merge_request_lines(submission.request.lines)
    if faults := domain.find_faults(lines, catalogue, request.currency):
        raise BadLines(faults)
    priced = domain.price_lines(lines, catalogue)
    weight = domain.sum_weight(priced)
    kind = OrderPlaced if request.flow is Flow.CHOREOGRAPHED else saga.data
    data = kind(
        order=submission.id,
        customer=request.customer,
        amount=domain.sum_total(priced),
        currency=request.currency,
        payment_token=request.payment_token,
        lines=tuple(domain.merge_lines(lines)),  # stock is reserved once a product, whatever its prices
        address=request.address,
        weight_grams=weight,
        parcels=domain.count_parcels(weight),
    )
    return Draft(submission, priced, data)


def order_statements(placed: Sequence[tuple[Draft, UUID | None]]) -> list[Statement]:
    """Return what inserts the rows of orders and their lines."""
    orders = [
        Order(
            id=draft.submission.id,
            customer_id=draft.data.customer,
            currency=draft.data.currency,
            total=draft.data.amount,
            weight_grams=draft.data.weight_grams,
            address=encode(draft.data.address),
            saga=saga,
            reference=draft.submission.request.reference,
        )
        for draft, saga in placed
    ]
    lines = [
        OrderLine(
            order_id=draft.submission.id,
            sku=p.sku,
            name=p.name,
            quantity=p.quantity,
            unit_price=p.unit_price,
            price_source=p.price_source,
        )
        for draft, _ in placed
        for p in draft.lines
    ]
    return [*bulk.insert_statement(Order, orders, ORDER), *bulk.insert_statement(OrderLine, lines, LINE)]


def current_flow() -> type[Saga]:
    """Return the version of the flow that new orders take; a running order finishes on its own."""
    return Saga.registry["place-order", settings.PLACE_ORDER_VERSION]
